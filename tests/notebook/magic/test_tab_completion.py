import dataclasses
import enum
from typing import TypedDict

import pandas as pd
import pydantic
import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell

import mistral_nb
from tests.fake_api import FakeApi
from tests.notebook.cells import ask, offered


class Plan(pydantic.BaseModel):
    """A schema."""

    summary: str


class Priority(enum.Enum):
    """A schema."""

    HIGH = "high"


class Place(TypedDict):
    """A schema."""

    town: str


@dataclasses.dataclass
class Price:
    """A schema."""

    usd: float


@mistral_nb.tool
def lookup_owner(account: str) -> str:
    """Return the owner."""
    return account


def lookup_town(account: str) -> str:
    """Return the town."""
    return account


@pytest.fixture
def furnished(shell: InteractiveShell) -> InteractiveShell:
    shell.user_ns |= {
        "Plan": Plan,
        "Priority": Priority,
        "Place": Place,
        "Price": Price,
        "pydantic": pydantic,
        "lookup_owner": lookup_owner,
        "lookup_town": lookup_town,
        "sales": pd.DataFrame({"price": [1]}),
        "salary": pd.Series([1]),
        "sample": 3,
        "rules": [{"moderation_llm_v2": {"action": "block"}}],
    }
    return shell


def words(shell: InteractiveShell, code: str) -> set[str]:
    """Return the words that Tab offers in the place of the last one."""
    return {text.split()[-1] for text in offered(shell, code)}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("%%mistral --t|", {"--temperature", "--tools"}),
        ("%%mistral -m small --ma|\nHello", {"--max-tokens"}),
        ("%mistral --dr|", {"--dry-run"}),
        ("%%mistral -m sma|", {"small"}),
        ("%%mistral --model=codestral-l|", {"--model=codestral-latest"}),
        ("%%mistral -m local-s|", {"local-small"}),
        ("%%mistral --json P|", {"Plan", "Priority", "Place", "Price"}),
        ("%%mistral --json list[Pl|", {"list[Plan", "list[Place"}),
        ("%%mistral --tools look|", {"lookup_owner", "lookup_town"}),
        ("%%mistral --tools lookup_owner,lookup_t|", {"lookup_owner,lookup_town"}),
        ("%%mistral --df sal|", {"sales", "salary"}),
        ("%%mistral --df sales,sala|", {"sales,salary"}),
        ("%%mistral --as |", {"code"}),
        ("%%mistral --guardrails |", {"rules"}),
        ("%mistral mo|", {"models"}),
        ("answer << %mistral se|", {"sessions"}),
        ("answer = %mistral -m lar|", {"large"}),
        ("%mistral config re|", {"region=", "requests_per_minute="}),
        ("%%mistral_fim -m codestral-la|", {"codestral-latest"}),
        ("%%mistral_fim --m|", {"--max-tokens", "--model"}),
        ("%%mistral\nWhat is {sal|", {"{sales", "{salary"}),
    ],
)
def test_tab_offers(furnished: InteractiveShell, code: str, expected: set[str]) -> None:
    assert words(furnished, code) == expected


def test_tab_offers_every_command(furnished: InteractiveShell) -> None:
    assert words(furnished, "%mistral |") == {
        "ask", "models", "config", "doctor", "usage", "sessions", "reset", "fix", "insert", "help",
    }  # fmt: skip


def test_tab_offers_every_option(furnished: InteractiveShell) -> None:
    assert {"--raw", "--debug", "--session", "-m", "--out"} <= words(furnished, "%%mistral |")


def test_tab_offers_the_sessions_there_are(api: FakeApi, shell: InteractiveShell) -> None:
    ask(shell, "--session review", "Hello")

    assert words(shell, "%%mistral --session r|") == {"review"}
    assert words(shell, "%mistral reset r|") == {"review"}


def test_tab_offers_no_retired_model(furnished: InteractiveShell) -> None:
    assert "codestral-2405" not in words(furnished, "%%mistral -m codestral|")


@pytest.mark.parametrize("code", ["x = sal|", "%%time\nsal|", "print(1)\nsal|"])
def test_other_cells_are_completed_as_ever(furnished: InteractiveShell, code: str) -> None:
    assert "sales" in {text.split()[-1].split("(")[-1] for text in offered(furnished, code)}


def test_loading_twice_offers_once(furnished: InteractiveShell) -> None:
    furnished.run_line_magic("reload_ext", "mistral_nb")
    with provisionalcompleter():
        found = [one.text for one in furnished.Completer.completions("%mistral mo", 11)]

    assert found == ["models"]

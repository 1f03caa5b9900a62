"""Tab offers the accessor's verbs and their options, as IPython completes them in a kernel and in a terminal."""

import inspect

import pandas as pd
import polars as pl
import pytest
from IPython.core.interactiveshell import InteractiveShell

import mistral_nb.polars  # noqa: F401  # registers the accessor
from mistral_nb.notebook.accessor import FrameVerbs, SeriesVerbs
from tests.notebook.cells import offered

VERBS = {name for name in dir(FrameVerbs) if not name.startswith("_")}


@pytest.fixture
def furnished(bare_shell: InteractiveShell) -> InteractiveShell:
    """A shell without the extension, in which there are frames and columns."""
    df = pd.DataFrame({"text": ["It crashes"]})
    bare_shell.user_ns |= {"df": df, "texts": df["text"], "tickets": pl.from_pandas(df)}
    return bare_shell


@pytest.mark.parametrize("subject", ["df", "df.text", "texts", "tickets"])
def test_tab_offers_every_verb_and_nothing_else(furnished: InteractiveShell, subject: str) -> None:
    assert offered(furnished, f"{subject}.mistral.|") == {f"{subject}.mistral.{name}" for name in VERBS}


@pytest.mark.parametrize("subject", ["df['text']", 'df["text"]', "df[['text']]"])
def test_with_the_extension_it_does_so_for_an_item_of_a_frame(
    furnished: InteractiveShell, shell: InteractiveShell, subject: str
) -> None:
    assert offered(furnished, f"{subject}.mistral.|") == {f"{subject}.mistral.{name}" for name in VERBS}


@pytest.mark.parametrize("subject", ["df", "df['text']", "texts"])
def test_so_it_does_where_jedi_is_switched_off(furnished: InteractiveShell, subject: str) -> None:
    furnished.Completer.use_jedi = False

    assert offered(furnished, f"{subject}.mistral.|") == {f"{subject}.mistral.{name}" for name in VERBS}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("texts.mis|", {"texts.mistral"}),
        ("topics = df.mistral.se|", {"topics = df.mistral.search", "topics = df.mistral.sentiment"}),
        ("df.mistral.classify(co|", {"df.mistral.classify(column=", "df.mistral.classify(confidence="}),
        ("df.mistral.classify('text', lab|", {"df.mistral.classify('text', labels="}),
        ("texts.mistral.classify(['a', 'b'], bud|", {"texts.mistral.classify(['a', 'b'], budget_usd="}),
        ("tickets.mistral.translate('text', fr|", {"tickets.mistral.translate('text', from_="}),
    ],
)
def test_tab_goes_on_with_verbs_and_their_options(furnished: InteractiveShell, code: str, expected: set[str]) -> None:
    assert expected <= offered(furnished, code)


@pytest.mark.parametrize("verb", sorted(VERBS - {"last_run", "last_job"}))
@pytest.mark.parametrize(("subject", "accessor"), [("df", FrameVerbs), ("texts", SeriesVerbs)])
def test_tab_offers_every_option_of_a_verb(
    furnished: InteractiveShell, verb: str, subject: str, accessor: type
) -> None:
    furnished.Completer.use_jedi = False  # which has no part in options, and takes its time
    code = f"{subject}.mistral.{verb}("
    _, *options = inspect.signature(getattr(accessor, verb)).parameters

    assert {f"{code}{option}=" for option in options} <= offered(furnished, f"{code}|")

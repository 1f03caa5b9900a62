"""`%%mistral --tools`: what the model may call, and what is seen of it."""

from typing import Any

import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

import mistral_nb
from mistral_nb import errors
from mistral_nb.tools.records import ToolAnswer
from tests.fake_api import FakeApi, Fault
from tests.notebook.cells import kept, line, run


@pytest.fixture
def equipped(api: FakeApi, notebook: InteractiveShell) -> InteractiveShell:
    run(notebook, 'def weather(city: str) -> str:\n    """Return the weather."""\n    return f"sunny in {city}"')
    return notebook


def test_functions_are_called_and_the_calls_are_shown(equipped: InteractiveShell) -> None:
    with capture_output() as captured:
        equipped.run_cell("%%mistral --tools weather --out answer\nWhat is the weather in Paris?")

    assert captured.outputs[-1].data["text/plain"].startswith("weather(city=")


def test_what_is_said_before_a_call_is_all_shown_when_the_call_begins(api: FakeApi, notebook: InteractiveShell) -> None:
    said = "words before the call " * 20
    api.play(Fault(content=said, finish_reason="tool_calls"))
    shown: list[str] = []

    def weather(city: str) -> str:
        """Return the weather."""
        shown.append(captured.outputs[-1].data["text/plain"])
        return "sunny"

    notebook.user_ns["weather"] = weather
    with capture_output() as captured:
        notebook.run_cell("%%mistral --tools weather\nWhat is the weather in Paris?")

    assert said.strip() in shown[0]


def test_the_steps_are_kept(equipped: InteractiveShell) -> None:
    run(equipped, "%%mistral --tools weather --out answer\nWhat is the weather in Paris?")
    answer: Any = kept(equipped)

    assert isinstance(answer, ToolAnswer)
    assert [step.name for step in answer.steps] == ["weather"]


def test_the_footer_counts_all_requests(equipped: InteractiveShell) -> None:
    with capture_output() as captured:
        equipped.run_cell("%%mistral --tools weather\nWhat is the weather in Paris?")

    assert "2 requests" in captured.outputs[-1].data["text/plain"]


def test_a_frame_brings_its_own_tools(api: FakeApi, equipped: InteractiveShell) -> None:
    equipped.user_ns["sales"] = pd.DataFrame({"price": [1, 2]})
    run(equipped, "%%mistral --tools sales\nHello")

    assert all(tool["function"]["name"].startswith("sales_") for tool in api.requests[0].body["tools"])


def test_a_kit_of_tools_will_do(api: FakeApi, equipped: InteractiveShell) -> None:
    equipped.user_ns["kit"] = mistral_nb.frame_tools(pd.DataFrame({"price": [1, 2]}), name="prices")
    run(equipped, "%%mistral --tools kit,weather\nHello")

    assert api.requests[0].body["tools"][-1]["function"]["name"] == "weather"


def test_a_function_that_is_not_there_is_refused(equipped: InteractiveShell) -> None:
    with pytest.raises(errors.InvalidOption, match="Did you mean 'weather'"):
        line(equipped, "--tools wether What is the weather?")

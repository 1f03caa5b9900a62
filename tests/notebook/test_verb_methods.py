"""What a verb's function becomes on each door, shown with verbs made for the purpose, and held by all real ones."""

import inspect
from typing import Any, Unpack

import pandas as pd
import pytest

from mistral_nb import errors
from mistral_nb.notebook.accessor import FrameVerbs, SeriesVerbs
from mistral_nb.notebook.edge import Verbs
from mistral_nb.notebook.row_verbs import VerbOptions
from mistral_nb.notebook.verb_methods import on_frame, on_series

FRAME = pd.DataFrame({"text": ["a", "b"], "group": [1, 2], "day": [3, 4]})


def count(column: "pd.Series[Any]", what: str, *, by: Any = None, **options: Unpack[VerbOptions]) -> Any:
    """Return the count.

    Parameters
    ----------
    what
        To count.

    Returns
    -------
    int
    """
    return column, what, by, options


def answer(question: str, column: "pd.Series[Any]", *, k: int = 3) -> Any:
    """Return an answer."""
    return question, column, k


def fill(frame: pd.DataFrame, template: str) -> Any:
    """Return filled templates."""
    return frame, template


class OnSeries(Verbs):
    count, answer, fill = on_series(count), on_series(answer), on_series(fill)


class OnFrame(Verbs):
    count, answer, fill = on_frame(count, other_columns=["by"]), on_frame(answer), on_frame(fill)


def names(method: Any) -> list[str]:
    return list(inspect.signature(method).parameters)


class TestOnASeries:
    def test_the_verb_reads_the_series(self) -> None:
        column, what, _, _ = OnSeries(FRAME["text"]).count("x")

        assert (column.tolist(), what) == (["a", "b"], "x")

    def test_the_signature_is_the_verbs_without_the_column(self) -> None:
        assert names(OnSeries(FRAME["text"]).answer) == ["question", "k"]

    def test_a_verb_of_a_frame_sees_a_frame_of_one_column(self) -> None:
        frame, _ = OnSeries(FRAME["text"]).fill("{text}")

        assert frame.columns.tolist() == ["text"]

    def test_a_column_without_a_name_is_called_text(self) -> None:
        frame, _ = OnSeries(pd.Series(["a"])).fill("{text}")

        assert frame.columns.tolist() == ["text"]


class TestOnAFrame:
    def test_the_verb_reads_the_named_column(self) -> None:
        assert OnFrame(FRAME).count("day", "x")[0].tolist() == [3, 4]

    def test_the_name_stands_where_the_verb_has_the_column(self) -> None:
        assert OnFrame(FRAME).answer("why?", "day")[1].name == "day"

    def test_further_columns_are_named_too(self) -> None:
        assert OnFrame(FRAME).count("text", "x", by="group")[2].name == "group"

    def test_a_list_names_several(self) -> None:
        assert [column.name for column in OnFrame(FRAME).count("text", "x", by=["group", "day"])[2]] == ["group", "day"]

    def test_a_further_column_that_there_is_not_is_refused(self) -> None:
        with pytest.raises(errors.UnknownColumn, match="Did you mean 'group'"):
            OnFrame(FRAME).count("text", "x", by="grup")

    def test_a_verb_of_a_frame_gets_it(self) -> None:
        assert OnFrame(FRAME).fill("{day}")[0] is FRAME

    def test_a_missing_argument_is_named_with_the_verb(self) -> None:
        with pytest.raises(TypeError, match="count: missing a required argument: 'what'"):
            OnFrame(FRAME).count("text")

    def test_options_reach_the_verb(self) -> None:
        assert OnFrame(FRAME).count("text", "x", model="small")[3] == {"model": "small"}

    def test_the_documentation_begins_with_the_column(self) -> None:
        assert "Parameters\n----------\ncolumn\n    Name of the column to read.\nwhat\n" in inspect.getdoc(
            OnFrame.count
        )

    def test_the_documentation_has_the_shared_options_before_the_result(self) -> None:
        before, after = inspect.getdoc(OnFrame.count).split("Returns\n-------")

        assert ("budget_usd\n    Most" in before, "budget_usd" in after) == (True, False)

    def test_the_documentation_has_the_errors_of_the_column_after_the_result(self) -> None:
        assert "\nint\n\nRaises\n------\nUnknownColumn\n" in inspect.getdoc(OnFrame.count)

    def test_a_verb_without_shared_options_shows_none(self) -> None:
        assert names(OnFrame(FRAME).answer) == ["question", "column", "k"]


VERBS = [name for name in vars(FrameVerbs) if not name.startswith("_")]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("door", [SeriesVerbs, FrameVerbs])
class TestEveryVerb:
    def test_every_parameter_is_documented(self, door: type, verb: str) -> None:
        method = getattr(door, verb)
        lines = inspect.getdoc(method).split("\nReturns\n", 1)[0].splitlines()
        documented = {name for line in lines if not line.startswith(" ") for name in line.split(", ")}

        assert set(names(method)) - {"self"} <= documented

    def test_the_docstring_has_the_errors_of_its_column_and_of_failed_rows(self, door: type, verb: str) -> None:
        raises = inspect.getdoc(getattr(door, verb)).split("\nRaises\n", 1)[1].split("\nExamples\n", 1)[0]

        assert ("NotText" in raises, "RowsFailed" in raises) == (True, "errors" in names(getattr(door, verb)))

    def test_the_docstring_has_an_example(self, door: type, verb: str) -> None:
        assert ">>> " in inspect.getdoc(getattr(door, verb))


def test_both_doors_have_the_same_verbs() -> None:
    assert [name for name in vars(SeriesVerbs) if not name.startswith("_")] == VERBS

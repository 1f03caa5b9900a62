from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from ipywidgets import Widget

from mistral_nb import ChatPanel, errors
from tests.fake_api import FakeApi
from tests.notebook.chat.page import Page

Opened = Callable[..., Page]
SALES = pd.DataFrame({"town": ["Lyon", "Nice", "Lille"], "sold": [3, 5, 777]})


def system(api: FakeApi) -> str:
    message: dict[str, str] = api.requests[-1].body["messages"][0]
    assert message["role"] == "system"
    return message["content"]


def test_the_preview_is_what_is_sent(api: FakeApi, opened: Opened) -> None:
    page = opened(df=SALES)
    page.panel.ask("How many?")

    assert system(api) == page.facts["frames"][0]["text"]


def test_the_header_says_how_many_rows_are_shared(api: FakeApi, opened: Opened) -> None:
    assert opened(df={"sales": SALES}, rows=2).facts["frames"][0]["label"] == "sales: schema and 2 rows"


def test_no_more_rows_are_sent_than_are_shared(api: FakeApi, opened: Opened) -> None:
    opened(df=SALES, rows=1).panel.ask("How many?")

    assert "Lyon,3" in system(api)
    assert "Nice,5" not in system(api)


def test_with_no_rows_no_value_is_sent(api: FakeApi, opened: Opened) -> None:
    page = opened(df=SALES, rows=0)
    page.panel.ask("How many?")

    assert not any(value in system(api) for value in ("Lyon", "777"))
    assert page.facts["frames"][0]["label"] == "df: schema, no rows"


def test_a_frame_that_changes_later_is_told_as_it_was_shown(api: FakeApi, opened: Opened) -> None:
    frame = SALES.copy()
    page = opened(df=frame)
    frame.loc[0, "town"] = "secret"
    page.panel.ask("How many?")

    assert system(api) == page.facts["frames"][0]["text"]
    assert "secret" not in system(api)


def test_another_frame_can_be_shared(api: FakeApi, opened: Opened) -> None:
    page = opened(df=SALES, system="Be brief.")
    page.panel.share({"prices": pd.DataFrame({"price": [1]})})
    page.panel.ask("How many?")

    assert system(api).startswith("Be brief.\n\npandas DataFrame `prices`")
    assert "Lyon" not in system(api)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"df": [1]}, "DataFrame"), ({"df": {"x": 1}}, "'x'"), ({"df": SALES, "rows": -1}, "rows is -1")],
)
def test_what_is_no_frame_is_refused(api: FakeApi, opened: Opened, options: dict[str, Any], said: str) -> None:
    with pytest.raises(errors.InvalidOption, match=said):
        opened(**options)


def test_a_panel_that_was_refused_is_closed_like_the_others(api: FakeApi, opened: Opened) -> None:
    with pytest.raises(errors.InvalidOption):
        opened(rows=-1, df=SALES)

    Widget.close_all()


def test_a_panel_that_was_refused_says_so(api: FakeApi, opened: Opened) -> None:
    with pytest.raises(errors.InvalidOption) as raised:
        opened(rows=-1, df=SALES)
    panels = [frame.locals["self"] for frame in raised.traceback if isinstance(frame.locals.get("self"), ChatPanel)]

    assert list(map(repr, panels)) == ["ChatPanel(an option was refused)"]

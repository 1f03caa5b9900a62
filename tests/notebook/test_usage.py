"""What was used is counted and drawn as it was, and what is not known is said."""

import datetime
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from matplotlib import pyplot

import mistral_nb
from mistral_nb import cli, errors
from mistral_nb.engine.open_request import EndedRequest
from mistral_nb.engine.request_record import RequestRecord
from mistral_nb.notebook.usage_pictures import PICTURES
from tests.engine.row_runs import LABELS, texts
from tests.fake_api import FakeApi
from tests.notebook.cells import line

DAY = 86_400.0


@pytest.fixture(autouse=True)
def _no_windows(monkeypatch: pytest.MonkeyPatch) -> Any:
    before = matplotlib.get_backend()
    pyplot.switch_backend("agg")
    yield
    pyplot.close("all")
    pyplot.switch_backend(before)


def write(*records: dict[str, Any]) -> None:
    """Put requests into the ledger, as if they had been made."""
    given = {"door": "magic", "verb": "ask", "model": "m", "began_unix_seconds": time.time(), "cost_usd": Decimal(1)}
    for record in records:
        mistral_nb.session().ledger(EndedRequest(RequestRecord(**{**given, **record})))


class TestCounts:
    def test_requests_are_grouped_by_model_and_day(self) -> None:
        yesterday = time.time() - DAY
        write({"model": "a"}, {"model": "a"}, {"model": "b"}, {"model": "a", "began_unix_seconds": yesterday})
        table = mistral_nb.usage()

        assert table.index.names == ["model", "day"]
        assert table["requests"].tolist() == [1, 2, 1]

    def test_amounts_are_added_up_exactly(self) -> None:
        write(*[{"cost_usd": Decimal("0.1")}] * 10)

        assert mistral_nb.usage(by=[])["cost_usd"].tolist() == [1.0]

    def test_an_unknown_price_is_counted_and_not_taken_for_nothing(self) -> None:
        write({"model": "a", "cost_usd": None}, {"model": "a"}, {"model": "b", "cost_usd": None})
        table = mistral_nb.usage(by="model")

        assert table["cost_unknown"].tolist() == [1, 1]
        assert table.loc["a", "cost_usd"] == 1.0
        assert pd.isna(table.loc["b", "cost_usd"])

    def test_kept_rows_are_no_requests(self) -> None:
        write({}, {"from_cache": True, "rows": 7, "saved_usd": Decimal("0.25"), "attempts": 0, "cost_usd": Decimal(0)})
        (row,) = mistral_nb.usage(by=[]).to_dict("records")

        assert (row["requests"], row["cached_rows"], row["saved_usd"], row["cost_usd"]) == (1, 7, 0.25, 1.0)

    def test_a_group_of_kept_rows_alone_is_shown_too(self) -> None:
        write({"model": "a"}, {"model": "b", "from_cache": True, "rows": 7})

        assert mistral_nb.usage(by="model")["requests"].tolist() == [1, 0]

    def test_failed_requests_do_not_count_for_latency(self) -> None:
        write({"latency_seconds": 1.0}, {"latency_seconds": 3.0}, {"latency_seconds": 99.0, "error": "RateLimited"})
        (row,) = mistral_nb.usage(by=[]).to_dict("records")

        assert (row["failed"], row["latency_p50_seconds"]) == (1, 2.0)
        assert row["latency_p95_seconds"] == pytest.approx(2.9)

    def test_without_groups_each_request_is_a_row_with_exact_amounts(self) -> None:
        write({"cost_usd": Decimal("0.0000001")}, {"cost_usd": None})
        table = mistral_nb.usage(by=None)

        assert table["cost_usd"].tolist()[0] == Decimal("0.0000001")
        assert table["cost_usd"].isna().tolist() == [False, True]
        assert str(table["time"].dtype) == "datetime64[ms, UTC]"

    def test_a_request_without_a_notebook_or_tag_has_a_group(self) -> None:
        write({"tag": "churn"}, {})

        assert mistral_nb.usage(by="tag")["requests"].tolist() == [1, 1]

    def test_a_tag_leaves_the_others_out(self) -> None:
        write({"tag": "churn"}, {})

        assert mistral_nb.usage(by=[], tag="churn")["requests"].tolist() == [1]

    def test_what_doors_used_is_there_at_once(self, priced: FakeApi) -> None:
        column = pd.Series(texts(5))
        column.mistral.classify(LABELS)
        mistral_nb.session().complete("Hello")
        table = mistral_nb.usage(by="door")

        assert table["rows"].to_dict() == {"accessor": 5, "session": 1}
        assert table.loc["accessor", "cost_usd"] == pytest.approx(float(column.mistral.last_run.result.cost_usd))

    def test_nothing_used_is_an_empty_table(self) -> None:
        assert mistral_nb.usage().empty
        assert mistral_nb.usage(by=None).empty


class TestClearing:
    def test_older_requests_are_deleted_and_counted(self) -> None:
        write({}, {"began_unix_seconds": time.time() - 2 * DAY}, {"began_unix_seconds": time.time() - 3 * DAY})

        assert mistral_nb.clear_usage(older_than_days=2.5) == 1
        assert mistral_nb.usage(by=[])["requests"].tolist() == [2]

    def test_kept_answers_stay(self, api: FakeApi) -> None:
        pd.Series(texts(3)).mistral.classify(LABELS)
        mistral_nb.clear_usage(older_than_days=1)

        assert mistral_nb.cache_info().answers == 3

    @pytest.mark.parametrize("days", [0, 0.5, -1, None, "90", True, float("nan")])
    def test_today_is_not_deleted(self, days: Any) -> None:
        with pytest.raises(errors.InvalidOption, match="from 1 up"):
            mistral_nb.clear_usage(older_than_days=days)


class TestSince:
    @pytest.mark.parametrize(
        "since",
        [
            "36h",
            "1.5d",
            datetime.timedelta(days=1.5),
            pd.Timedelta("36h"),
            datetime.datetime.now().astimezone() - datetime.timedelta(days=1.5),
            pd.Timestamp.now() - pd.Timedelta("36h"),
        ],
        ids=["hours", "days", "timedelta", "Timedelta", "aware", "naive"],
    )
    def test_only_later_requests_count(self, since: object) -> None:
        write({"began_unix_seconds": time.time() - DAY}, {"began_unix_seconds": time.time() - 2 * DAY})

        assert mistral_nb.usage(since=since, by=[])["requests"].tolist() == [1]

    def test_a_date_begins_at_midnight_here(self) -> None:
        midnight = datetime.datetime(2026, 11, 1).astimezone().timestamp()
        write({"began_unix_seconds": midnight + 1}, {"began_unix_seconds": midnight - 1})

        assert mistral_nb.usage(since="2026-11-01", by=[])["requests"].tolist() == [1]
        assert mistral_nb.usage(since=datetime.date(2026, 11, 1), by=[])["requests"].tolist() == [1]

    def test_none_is_everything(self) -> None:
        write({"began_unix_seconds": 1.0})

        assert mistral_nb.usage(since=None, by=[])["requests"].tolist() == [1]

    @pytest.mark.parametrize("since", ["soon", 7, True, [], "2m", "NaT", "99999999999d"])
    def test_what_is_no_time_is_named(self, since: object) -> None:
        with pytest.raises(errors.InvalidOption, match='since="7d"'):
            mistral_nb.usage(since=since)

    def test_a_group_that_there_is_not_is_named(self) -> None:
        with pytest.raises(errors.InvalidOption, match="Did you mean 'model'"):
            mistral_nb.usage(by=["modle"])


class TestPictures:
    def test_there_is_one_for_each_question(self) -> None:
        write({"error": "RateLimited"}, {"from_cache": True}, {"cost_usd": None})
        axes = mistral_nb.usage().plot()

        titles = [ax.get_title() for ax in axes]
        assert titles[0] == "Cost per day and model (+ 1 request of unknown cost)"
        assert [ax.get_ylabel() or ax.get_xlabel() for ax in axes] == [
            "USD",
            "tokens",
            "seconds until the whole answer",
            "rows",
            "requests",
        ]

    @pytest.mark.parametrize("kind", list(PICTURES))
    def test_nothing_used_is_said(self, kind: str) -> None:
        (ax,) = mistral_nb.usage().plot(kind)

        assert [text.get_text() for text in ax.texts] == ["nothing to show"]

    def test_bars_add_up_to_the_cost_of_the_day(self) -> None:
        write({"model": "a"}, {"model": "b"}, {"model": "b"})
        (ax,) = mistral_nb.usage().plot("cost")

        assert max(bar.get_y() + bar.get_height() for bar in ax.patches) == pytest.approx(3.0)

    def test_latency_tells_the_middle_and_the_95th_percentile(self) -> None:
        write(*({"latency_seconds": float(seconds)} for seconds in range(101)))
        (ax,) = mistral_nb.usage().plot("latency")

        assert [label.get_text() for label in ax.get_yticklabels()] == ["m\np50 50.00 s, p95 95.00 s"]

    def test_the_whiskers_end_at_the_percentiles_that_they_are_said_to_end_at(self) -> None:
        write(*({"latency_seconds": seconds} for seconds in (1.0, 1.0, 1.0, 11.0)))
        (ax,) = mistral_nb.usage().plot("latency")

        assert max(float(max(line.get_xdata())) for line in ax.lines) == pytest.approx(9.5)

    def test_a_days_bar_stands_also_where_nothing_was_used_in_between(self) -> None:
        write({}, {"began_unix_seconds": time.time() - 4 * DAY})
        (ax,) = mistral_nb.usage().plot("tokens")
        write({"prompt_tokens": 1, "began_unix_seconds": time.time() - 4 * DAY}, {"prompt_tokens": 1})
        (ax,) = mistral_nb.usage().plot("tokens")

        assert len({bar.get_x() for bar in ax.patches}) == 5

    def test_a_picture_that_there_is_not_is_named(self) -> None:
        with pytest.raises(errors.InvalidOption, match="There are: cost, tokens, latency, cache, failures"):
            mistral_nb.usage().plot("price")


class TestOtherDoors:
    def test_the_magic_gives_the_same_table(self, shell: InteractiveShell) -> None:
        write({"model": "a"})
        value, _ = line(shell, "usage 30d door")

        assert value["requests"].to_dict() == {"magic": 1}

    def test_the_terminal_shows_what_is_unknown(self, capsys: pytest.CaptureFixture[str]) -> None:
        write({"model": "a", "cost_usd": None}, {"model": "a"})

        assert cli.main(["usage", "--by", "model"]) == 0
        assert "$1.0000 + 1 unknown" in capsys.readouterr().out

    def test_a_csv_file_has_every_column(self, tmp_path: Path) -> None:
        write({"model": "a"})
        cli.main(["usage", "--since", "30d", "--csv", str(tmp_path / "out.csv")])
        table = pd.read_csv(tmp_path / "out.csv")

        assert table.columns.tolist()[:3] == ["model", "day", "requests"]
        assert table["cost_usd"].tolist() == [1.0]

    def test_a_csv_that_can_not_be_written_is_an_error_with_its_remedy(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.main(["usage", "--csv", str(tmp_path / "no" / "out.csv")]) == 1
        assert "Give another file." in capsys.readouterr().err

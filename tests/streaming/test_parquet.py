"""A verb over a parquet file, batch by batch: what is written, what is paid, and what is left when it stops."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mistral_nb
from mistral_nb import errors
from tests.engine.row_runs import LABELS, labels_of, texts, times_asked
from tests.fake_api import FakeApi, Fault

LABEL_TYPE = pa.dictionary(pa.int32(), pa.string())
ROWS = texts(10)


class Files:
    """Two paths in a folder of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.source, self.target = folder / "in.parquet", folder / "out.parquet"

    def has(self, rows: list[str | None], *, rows_per_group: int = 4) -> None:
        table = pa.table({"id": range(len(rows)), "text": pa.array(rows, type=pa.string())})
        pq.write_table(table, self.source, row_group_size=rows_per_group)

    def stream(self, *, verb: str = "classify", **options: Any) -> Any:
        own: dict[str, Any] = {"labels": LABELS, "into": "topic", "rows_per_request": 1} if verb == "classify" else {}
        given = {"column": "text", "batch_rows": 3, **own, **options}
        return mistral_nb.stream_parquet(self.source, self.target, verb=verb, **given)

    @property
    def labels(self) -> list[str | None]:
        return pq.read_table(self.target)["topic"].to_pylist()

    @property
    def names(self) -> list[str]:
        return sorted(path.name for path in self.source.parent.iterdir() if path.name != "home")


@pytest.fixture
def files(tmp_path: Path) -> Files:
    files = Files(tmp_path)
    files.has(ROWS)
    return files


class TestWhatIsWritten:
    def test_each_row_has_its_value_beside_the_columns_of_the_source(self, api: FakeApi, files: Files) -> None:
        files.stream()
        written = pq.read_table(files.target)

        assert written.select(["id", "text"]).equals(pq.read_table(files.source))
        assert (files.labels, written.column_names) == (labels_of(ROWS), ["id", "text", "topic"])

    def test_memory_is_that_of_a_batch_and_not_of_the_file(self, files: Files) -> None:
        rows = 16_000  # 80 MB, as reading a parquet file takes some 15 MB, however long it is
        load = pa.array([os.urandom(5_000) for _ in range(rows)])
        pq.write_table(pa.table({"text": pa.nulls(rows, pa.string()), "load": load}), files.source)
        script = (
            "import sys, pyarrow, mistral_nb\n"
            "mistral_nb.configure(api_key='k' * 32)\n"
            "done = mistral_nb.stream_parquet(\n"
            "    sys.argv[1], sys.argv[2], verb='classify', column='text', labels=['a', 'b'], batch_rows=100\n"
            ")\n"
            "print(done.rows, pyarrow.default_memory_pool().max_memory())"
        )
        command = [sys.executable, "-c", script, str(files.source), str(files.target)]
        written, most_bytes = map(int, subprocess.run(command, capture_output=True, check=True).stdout.split())

        assert written == rows
        assert 0 < most_bytes < files.source.stat().st_size / 3

    def test_text_that_is_stored_in_views_is_text(self, api: FakeApi, files: Files) -> None:
        pq.write_table(pa.table({"text": pa.array([ROWS[0], None], pa.string_view())}), files.source)
        files.stream()

        assert files.labels == [labels_of(ROWS)[0], None]

    @pytest.mark.parametrize(
        ("verb", "arguments", "expected"),
        [
            ("classify", {}, {"topic": LABEL_TYPE}),
            ("classify", {"multi_label": True}, {"topic": pa.list_(pa.string())}),
            ("summarize", {}, {"summarize": pa.string()}),
            ("score", {"criterion": "urgency"}, {"score": pa.float64()}),
            ("filter", {"condition": "is late", "into": "late"}, {"late": pa.bool_()}),
            ("embed", {}, {"embed": pa.large_list(pa.field("element", pa.float32()))}),
            (
                "extract",
                {"schema": {"number": int, "tags": list[str]}},
                {"number": pa.int64(), "tags": pa.list_(pa.string())},
            ),
            ("extract", {"schema": {"number": int}, "into": "found"}, {"found": pa.struct({"number": pa.int64()})}),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_the_type_is_right_where_the_first_batch_is_all_missing(
        self, api: FakeApi, files: Files, verb: str, arguments: dict[str, Any], expected: dict[str, pa.DataType]
    ) -> None:
        files.has([None, None, None, "a bug; number: 3"])
        files.stream(verb=verb, **arguments)
        schema = pq.read_schema(files.target)

        assert {name: schema.field(name).type for name in schema.names[2:]} == expected

    def test_a_file_without_rows_gives_one_with_the_columns(self, api: FakeApi, files: Files) -> None:
        files.has([])
        done = files.stream()

        assert (done.rows, pq.read_schema(files.target).field("topic").type) == (0, LABEL_TYPE)

    def test_pandas_and_polars_read_it(self, api: FakeApi, files: Files) -> None:
        frame = pd.DataFrame({"text": ["a bug", None]}, index=pd.Index(["x", "y"], name="key"))
        frame.to_parquet(files.source)
        files.stream()

        assert pd.read_parquet(files.target)["topic"].dropna().to_dict() == {"x": "bug"}
        assert pl.read_parquet(files.target)["topic"].to_list() == ["bug", None]

    @settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        rows=st.lists(st.sampled_from([*texts(4), None, ""]), max_size=12),
        rows_per_group=st.integers(1, 6),
        batch_rows=st.integers(1, 7),
    )
    def test_rows_stay_in_place_wherever_batches_and_row_groups_end(
        self, api: FakeApi, files: Files, rows: list[str | None], rows_per_group: int, batch_rows: int
    ) -> None:
        files.has(rows, rows_per_group=rows_per_group)
        files.stream(batch_rows=batch_rows)

        assert files.labels == labels_of(rows)

    def test_it_says_what_it_did(self, api: FakeApi, files: Files) -> None:
        done = files.stream()

        assert (done.path, done.rows, done.failed, done.rows_before, done.requests) == (files.target, 10, 0, 0, 10)

    def test_nothing_is_left_beside_it(self, api: FakeApi, files: Files) -> None:
        files.stream()

        assert files.names == ["in.parquet", "out.parquet"]

    def test_rows_that_failed_are_missing_and_counted_in_one_warning(self, api: FakeApi, files: Files) -> None:
        api.play(Fault(content="no JSON", when=ROWS[1]), Fault(content="no JSON", when=ROWS[8]))
        with pytest.warns(mistral_nb.FailedRowsWarning, match="2 of 10 rows failed in classify") as caught:
            done = files.stream()

        assert (done.failed, files.labels[1], files.labels[8], caught[0].filename) == (2, None, None, __file__)

    def test_the_users_last_run_stays(self, api: FakeApi, files: Files) -> None:
        pd.Series(["a bug"]).mistral.classify(LABELS)
        last = mistral_nb.session().last_run
        files.stream()

        assert mistral_nb.session().last_run is last


class TestStopped:
    """The key is refused in the third batch."""

    @pytest.fixture(autouse=True)
    def _stop(self, api: FakeApi, files: Files) -> None:
        api.play(Fault(status=401, body={"detail": "Unauthorized"}, when=ROWS[7], times=1))
        with pytest.raises(errors.InvalidKey):
            files.stream(cache=False)

    def test_nothing_is_where_the_file_belongs(self, files: Files) -> None:
        assert not files.target.exists()

    def test_it_goes_on_with_the_batch_that_is_not_done(self, api: FakeApi, files: Files) -> None:
        done_before = dict(times_asked(api))
        done = files.stream(cache=False)
        asked = times_asked(api)

        assert (done.rows_before, files.labels) == (6, labels_of(ROWS))
        assert [asked[text] - done_before.get(text, 0) for text in ROWS] == [0] * 6 + [1] * 4

    def test_another_question_begins_anew(self, api: FakeApi, files: Files) -> None:
        done = files.stream(cache=False, labels=[*LABELS, "praise"])

        assert (done.rows_before, files.names) == (0, ["in.parquet", "out.parquet"])

    def test_another_model_begins_anew(self, api: FakeApi, files: Files) -> None:
        mistral_nb.configure(model="large")

        assert files.stream(cache=False).rows_before == 0

    def test_another_source_begins_anew(self, api: FakeApi, files: Files) -> None:
        files.has(ROWS[::-1], rows_per_group=5)

        assert (files.stream(cache=False).rows_before, files.labels) == (0, labels_of(ROWS[::-1]))

    def test_the_receipt_is_of_what_is_left(self, api: FakeApi, files: Files) -> None:
        asked = len(api.requests)
        receipt = files.stream(cache=False, dry_run=True)

        assert (receipt.rows, receipt.requests, len(api.requests), files.target.exists()) == (4, 4, asked, False)


class TestMoney:
    def test_a_dry_run_writes_and_sends_nothing(self, api: FakeApi, files: Files) -> None:
        receipt = files.stream(dry_run=True)

        assert (receipt.rows, receipt.unique, receipt.requests, api.requests) == (10, 10, 10, [])
        assert files.names == ["in.parquet"]

    def test_equal_texts_of_different_batches_are_paid_for_once(self, api: FakeApi, files: Files) -> None:
        files.has(["a bug"] * 10)
        files.stream()

        assert len(api.requests) == 1

    def test_the_budget_is_that_of_the_whole_file(self, priced: FakeApi, files: Files) -> None:
        most = files.stream(dry_run=True).cost_usd_most
        with pytest.raises(errors.BudgetReached, match=r"budget of the file .*is reached[\s\S]*goes on where it was"):
            files.stream(budget_usd=most / 6)

        assert (files.target.exists(), 0 < len(priced.requests) < 10) == (False, True)

    def test_with_a_larger_one_it_goes_on_and_pays_nothing_twice(self, priced: FakeApi, files: Files) -> None:
        most = files.stream(dry_run=True).cost_usd_most
        with pytest.raises(errors.BudgetReached):
            files.stream(budget_usd=most / 6)
        files.stream(budget_usd=most)

        assert (files.labels, set(times_asked(priced).values())) == (labels_of(ROWS), {1})

    def test_what_earlier_calls_spent_counts(self, priced: FakeApi, files: Files) -> None:
        most = files.stream(dry_run=True).cost_usd_most
        with pytest.raises(errors.BudgetReached):
            files.stream(budget_usd=most / 6)
        asked = len(priced.requests)
        with pytest.raises(errors.BudgetReached):
            files.stream(budget_usd=most / 6)

        assert len(priced.requests) == asked

    def test_the_cost_is_that_of_all_calls(self, priced: FakeApi, files: Files) -> None:
        most = files.stream(dry_run=True).cost_usd_most
        with pytest.raises(errors.BudgetReached):
            files.stream(budget_usd=most / 6)

        cost_usd = float(files.stream().cost_usd)
        assert cost_usd == pytest.approx(mistral_nb.usage(since="1d", by="verb")["cost_usd"].sum())


class TestBadInput:
    @pytest.mark.parametrize(
        ("options", "problem"),
        [
            ({"verb": "clasify"}, "There is no verb 'clasify'"),
            ({"verb": "summarize", "whole": True}, "whole= gives no line per row"),
            ({"background": True}, "background= gives no column"),
            ({"mode": "batch"}, "mode= is for a column in memory"),
            ({"into": "id"}, "The file has a column 'id' already"),
            ({"batch_rows": 0}, "batch_rows is 0"),
            ({"dry_run": "no"}, "dry_run is 'no'"),
            ({"budget_usd": -1}, "budget_usd is -1"),
            ({"confidnce": True}, "There is no option confidnce="),
        ],
        ids=lambda value: "" if isinstance(value, str) else "-".join(value),
    )
    def test_what_can_not_be_is_refused(
        self, api: FakeApi, files: Files, options: dict[str, Any], problem: str
    ) -> None:
        with pytest.raises(errors.InvalidOption, match=problem):
            files.stream(**options)

        assert (api.requests, files.names) == ([], ["in.parquet"])

    def test_a_verb_of_all_rows_is_not_for_files(self, files: Files) -> None:
        with pytest.raises(errors.NotSupported, match="search gives the rows that are nearest to a query"):
            files.stream(verb="search", query="late")

    def test_a_column_that_there_is_not_is_named(self, files: Files) -> None:
        with pytest.raises(errors.UnknownColumn, match="Did you mean 'text'"):
            files.stream(column="txt")

    def test_a_column_of_numbers_is_refused(self, files: Files) -> None:
        with pytest.raises(errors.NotText, match="int64"):
            files.stream(column="id")

    def test_the_source_is_not_overwritten(self, files: Files) -> None:
        files.target = files.source

        with pytest.raises(errors.InvalidOption, match="another file than the source"):
            files.stream()

    def test_what_is_no_parquet_file_is_refused(self, files: Files) -> None:
        files.source.write_text("text\na bug")

        with pytest.raises(errors.InvalidOption, match="is no parquet file"):
            files.stream()

    def test_a_source_that_is_not_there_is_named(self, files: Files) -> None:
        files.source.unlink()

        with pytest.raises(errors.InvalidOption, match=r"There is no file '.*in\.parquet'"):
            files.stream()

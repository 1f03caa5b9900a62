import re
import sys
from pathlib import Path

import pytest

from tests.bench import lines, row_texts
from tests.bench.lines import LINES, Line
from tests.bench.processes import ChildFailed, fake_api, run_command
from tests.bench.rows import main, table


def test_a_quick_line_prints_its_table_and_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    ended = main(["--quick", "--only", "tokens"])

    shown = capsys.readouterr().out
    assert ended == 0
    assert re.search(r"^what +ours +raw client +ratio +goal +met$", shown, re.MULTILINE)
    assert re.search(r"^prompt tokens per row, .* rows packed, .*[\d.]+ × text +≤ 1\.5 × text", shown, re.MULTILINE)
    assert "the server's own ceiling" in shown


def test_peers_that_are_not_there_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended = main(["--no-lines", "--peers", str(tmp_path), "--runners", str(tmp_path)])

    assert ended == 0
    assert f"No peers: {tmp_path} holds no mock_server.py" in capsys.readouterr().out


def test_a_line_that_fails_is_said_and_the_others_are_still_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(bench: lines.Bench) -> list[Line]:
        raise ChildFailed("ImportError: no such name")

    monkeypatch.setattr(lines.Bench, "measure_ceiling", lambda bench: Line(what="ceiling", ours="-"))
    monkeypatch.setitem(LINES, "packed", broken)
    monkeypatch.setitem(LINES, "cpu", lambda bench: [Line(what="other", ours="1", is_met=True)])

    assert main(["--only", "packed", "cpu"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^packed +failed .* NO$", shown, re.MULTILINE)
    assert re.search(r"^other +1 .* yes$", shown, re.MULTILINE)


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    shown = table([Line(what="short", ours="1"), Line(what="much longer", ours="2", is_met=False)]).splitlines()

    assert [line.index(cell) for line, cell in zip((shown[0], *shown[2:]), ("ours", "1", "2"), strict=True)] == [13] * 3


def test_a_text_holds_its_label_and_no_other() -> None:
    texts, truths = row_texts.texts(500, first=9_900), row_texts.truths(500, first=9_900)

    assert [[label for label in row_texts.LABELS if label in text] for text in texts] == [[truth] for truth in truths]


def test_texts_of_different_numbers_are_different() -> None:
    assert len(set(row_texts.texts(20_000))) == 20_000


def test_a_text_has_12_words() -> None:
    assert {len(text.split()) for text in row_texts.texts(500)} == {12}


def test_a_command_that_fails_is_said_with_its_last_complaint() -> None:
    with pytest.raises(ChildFailed, match=r"^ZeroDivisionError: division by zero$"):
        run_command([sys.executable, "-c", "1 / 0"])


def test_a_command_that_takes_too_long_is_ended() -> None:
    with pytest.raises(ChildFailed, match=r"^not done after 0 s$"):
        run_command([sys.executable, "-c", "import time; time.sleep(60)"], timeout_seconds=0.2)


def test_a_server_is_gone_when_its_block_is_left() -> None:
    with fake_api() as server:
        assert server.ask("/_fake/stats")["requests"] == 0

    with pytest.raises(OSError, match="refused"):
        server.ask("/_fake/stats")

import datetime
import json
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mistral_nb.completion import CompletionRequest, LabelChoice
from mistral_nb.engine import cache as cache_module
from mistral_nb.engine.cache import AnswerCache, KeptAnswer, answer_keys
from mistral_nb.engine.database import APPLICATION_ID, Database
from mistral_nb.errors import CacheProblem

REQUEST = CompletionRequest(model="m", messages=({"role": "user", "content": ""},), temperature=0.0, max_tokens=5)
ANSWER = KeptAnswer(
    value="Grüß dich 👋",
    verb="summarize",
    model="m",
    response_id="r1",
    prompt_tokens=3,
    completion_tokens=2,
    latency_seconds=0.25,
    rows_per_request=4,
)
DAY = 86_400.0

OpenCache = Callable[..., AnswerCache]


def with_text(request: CompletionRequest, text: str) -> CompletionRequest:
    return replace(request, messages=(*request.messages[:-1], {"role": "user", "content": text}))


def key(text: str = "Hello", request: CompletionRequest = REQUEST, **others: str) -> bytes:
    parts = {"endpoint": "https://a", "answering_model": "m@1", "prompt_version": "classify/1"} | others
    return answer_keys(lambda text: with_text(request, text), **parts)(text)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "cache.sqlite"


@pytest.fixture
def open_cache(path: Path) -> Iterator[OpenCache]:
    """Open the file as another kernel would; all of them are closed at the end."""
    caches: list[AnswerCache] = []

    def another(**options: Any) -> AnswerCache:
        caches.append(AnswerCache(Database(path), **options))
        return caches[-1]

    yield another
    for cache in caches:
        cache.database.close()


class Today:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.unix_seconds = 1_800_000_000.0

    def time(self) -> float:
        return self.unix_seconds

    def monotonic(self) -> float:
        return self.unix_seconds

    def pass_days(self, days: float) -> None:
        self.unix_seconds += days * DAY


@pytest.fixture
def today(monkeypatch: pytest.MonkeyPatch) -> Today:
    clock = Today()
    monkeypatch.setattr(cache_module, "time", clock)
    return clock


def test_a_kept_answer_comes_back_whole(open_cache: OpenCache) -> None:
    open_cache().put({b"k": ANSWER})

    assert open_cache().answers([b"k", b"other"]) == {b"k": ANSWER}


def test_values_come_back_alone(open_cache: OpenCache) -> None:
    open_cache().put({b"k": ANSWER, b"l": replace(ANSWER, value=None), b"m": replace(ANSWER, value=["a", 1])})

    assert open_cache().found([b"k", b"l", b"m", b"n"]).values == {b"k": ANSWER.value, b"l": None, b"m": ["a", 1]}


def test_a_later_answer_takes_the_place_of_an_earlier_one(open_cache: OpenCache) -> None:
    cache = open_cache()
    cache.put({b"k": ANSWER})
    cache.put({b"k": replace(ANSWER, value="new")})

    assert (cache.found([b"k"]).values, cache.info().answers) == ({b"k": "new"}, 1)


def test_answers_that_shared_a_request_with_more_rows_are_left_out_when_asked(open_cache: OpenCache) -> None:
    cache = open_cache()
    cache.put({bytes([rows]): replace(ANSWER, rows_per_request=rows) for rows in (1, 4, 20)})

    assert set(cache.found([b"\x01", b"\x04", b"\x14"], rows_per_request=4).values) == {b"\x01", b"\x04"}


def test_answers_are_kept_all_or_none(open_cache: OpenCache) -> None:
    cache = open_cache()
    unkeepable = replace(ANSWER, prompt_tokens=2**70)
    with pytest.raises(OverflowError):
        cache.put({b"k": ANSWER, b"l": unkeepable})

    assert open_cache().found([b"k", b"l"]).values == {}


def test_nothing_to_keep_is_nothing_kept(open_cache: OpenCache) -> None:
    cache = open_cache()
    cache.put({})

    assert cache.info().answers == 0


def test_an_answer_outlives_the_process_that_kept_it(open_cache: OpenCache, path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from mistral_nb.engine.cache import AnswerCache, KeptAnswer;"
        "from mistral_nb.engine.database import Database;"
        "answer = KeptAnswer(value='kept', verb='v', model='m');"
        "AnswerCache(Database(Path(sys.argv[1]))).put({b'k': answer}); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=False)

    assert open_cache().found([b"k"]).values == {b"k": "kept"}


def test_more_keys_than_one_query_takes_are_all_found(open_cache: OpenCache) -> None:
    cache = open_cache()
    keys = [number.to_bytes(4, "big") for number in range(2503)]
    cache.put(dict.fromkeys(keys, ANSWER))

    assert set(cache.found(keys).values) == set(keys)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such rights")
def test_the_file_and_its_journal_are_private(open_cache: OpenCache, path: Path) -> None:
    path.parent.mkdir()
    path.touch(0o644)
    open_cache().put({b"k": ANSWER})

    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}


def test_a_commit_is_in_the_journal_and_a_checkpoint_on_the_disk_so_that_no_power_cut_damages_the_file(
    path: Path,
) -> None:
    program = (
        "import sys, pathlib; from mistral_nb.engine.database import Database\n"
        "with Database(pathlib.Path(sys.argv[1])).reading() as connection:\n"
        "    print(*(connection.execute(f'PRAGMA {name}').fetchone()[0] for name in ('journal_mode', 'synchronous')))"
    )
    asked = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)

    assert asked.stdout.split() == ["wal", "1"]  # 1 is NORMAL


def test_the_file_holds_no_prompt(open_cache: OpenCache, path: Path) -> None:
    cache = open_cache()
    cache.put({key("Hello"): ANSWER})
    cache.database.close()

    assert b"Hello" not in path.read_bytes()
    assert json.dumps(ANSWER.value, ensure_ascii=False).encode() in path.read_bytes()


class TestOtherFiles:
    def test_a_file_of_another_program_is_refused_and_left_alone(self, open_cache: OpenCache, path: Path) -> None:
        path.parent.mkdir()
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE mine (x)")
        other.close()
        before = path.read_bytes()

        with pytest.raises(CacheProblem, match="another program"):
            open_cache().found([b"k"])
        assert path.read_bytes() == before

    def test_a_file_that_is_no_database_is_refused(self, open_cache: OpenCache, path: Path) -> None:
        path.parent.mkdir()
        path.write_text("not a database, but long enough to be read as the header of one" * 20)

        with pytest.raises(CacheProblem, match="not a database"):
            open_cache().found([b"k"])

    def test_a_home_that_can_not_be_written_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()

        with pytest.raises(CacheProblem, match="keep the cache elsewhere"):
            AnswerCache(Database(tmp_path / "file" / "cache.sqlite")).found([b"k"])

    def test_a_file_from_a_later_version_is_refused(self, open_cache: OpenCache, path: Path) -> None:
        open_cache().put({b"k": ANSWER})
        with sqlite3.connect(path) as file:
            file.execute("PRAGMA user_version=99")
        file.close()

        with pytest.raises(CacheProblem, match="version 99"):
            open_cache().found([b"k"])

    def test_a_file_of_version_1_is_taken_over_without_its_answers(self, open_cache: OpenCache, path: Path) -> None:
        path.parent.mkdir()
        with sqlite3.connect(path) as old:
            old.execute("CREATE TABLE answers (key BLOB PRIMARY KEY, answer TEXT)")
            old.execute("INSERT INTO answers VALUES (x'6b', '{}')")
            old.execute(f"PRAGMA application_id={APPLICATION_ID}")
            old.execute("PRAGMA user_version=1")
        old.close()
        cache = open_cache()
        cache.put({b"l": ANSWER})

        assert cache.found([b"k", b"l"]).values == {b"l": ANSWER.value}


class TestAge:
    def test_an_answer_that_is_too_old_is_not_taken(self, open_cache: OpenCache, today: Today) -> None:
        cache = open_cache(max_age_days=30)
        cache.put({b"k": ANSWER})
        today.pass_days(29)
        cache.put({b"l": ANSWER})
        today.pass_days(2)

        assert set(cache.found([b"k", b"l"]).values) == {b"l"}

    def test_answers_that_are_too_old_are_deleted_when_the_file_is_opened(
        self, open_cache: OpenCache, today: Today
    ) -> None:
        open_cache().put({b"k": ANSWER})
        today.pass_days(31)

        assert open_cache(max_age_days=30).info().answers == 0

    def test_without_an_age_answers_are_kept_for_ever(self, open_cache: OpenCache, today: Today) -> None:
        open_cache().put({b"k": ANSWER})
        today.pass_days(10_000)

        assert set(open_cache().found([b"k"]).values) == {b"k"}


class TestSize:
    def test_a_file_that_grows_too_large_loses_its_oldest_answers(self, open_cache: OpenCache, today: Today) -> None:
        cache = open_cache(max_bytes=400_000)  # looked at after each 2,000 answers
        for day in range(8):
            cache.put({f"{day}/{number}".encode(): replace(ANSWER, value="x" * 100) for number in range(1000)})
            today.pass_days(1)
        left = {
            kept.split(b"/")[0]
            for kept in cache.found([f"{d}/{n}".encode() for d in range(8) for n in (0, 999)]).values
        }

        assert left == set(sorted(left)[-len(left) :])
        assert (b"7" in left, b"0" in left) == (True, False)

    def test_a_file_is_cut_to_size_when_it_is_opened(self, open_cache: OpenCache, today: Today, path: Path) -> None:
        cache = open_cache()
        for day in range(10):
            cache.put({f"{day}/{number}".encode(): replace(ANSWER, value="x" * 200) for number in range(300)})
            today.pass_days(1)
        cache.database.close()
        before = path.stat().st_size
        smaller = open_cache(max_bytes=before // 2)
        smaller.info()
        smaller.database.close()

        assert (path.stat().st_size <= before // 2, smaller.info().answers > 0) == (True, True)

    def test_what_is_cleared_is_given_back_to_the_disk(self, open_cache: OpenCache, path: Path) -> None:
        cache = open_cache()
        cache.put({number.to_bytes(4, "big"): replace(ANSWER, value="x" * 200) for number in range(3000)})
        cache.database.close()
        before = path.stat().st_size
        cache.clear()
        cache.database.close()

        assert path.stat().st_size < before / 10


class TestInfoAndClear:
    def test_it_says_how_much_is_kept_and_from_when(self, open_cache: OpenCache, today: Today, path: Path) -> None:
        cache = open_cache(max_age_days=30, max_bytes=2_000_000)
        cache.put({b"k": ANSWER})
        today.pass_days(1)
        cache.put({b"l": ANSWER})
        info = cache.info()

        assert (info.answers, info.newest - info.oldest) == (2, datetime.timedelta(days=1))
        assert f"2 answers in 0.1 MB, {info.oldest:%Y-%m-%d} to {info.newest:%Y-%m-%d}" in str(info)
        assert str(info).endswith(f"kept for 30 days, at most 2 MB: {path}")

    def test_an_empty_file_has_no_dates(self, open_cache: OpenCache) -> None:
        info = open_cache().info()

        assert (info.answers, info.oldest, info.newest) == (0, None, None)

    @pytest.mark.parametrize(
        ("conditions", "left"),
        [
            ({}, set()),
            ({"verb": "classify"}, {b"old", b"other"}),
            ({"model": "large"}, {b"old", b"new"}),
            ({"older_than_days": 5}, {b"new", b"other"}),
            ({"older_than_days": 0, "verb": "summarize", "model": "m"}, {b"new", b"other"}),
            ({"verb": "translate"}, {b"old", b"new", b"other"}),
        ],
    )
    def test_what_meets_all_conditions_is_deleted(
        self, open_cache: OpenCache, today: Today, conditions: dict[str, Any], left: set[bytes]
    ) -> None:
        cache = open_cache()
        cache.put({b"old": ANSWER})
        today.pass_days(10)
        cache.put({b"new": replace(ANSWER, verb="classify"), b"other": replace(ANSWER, model="large")})
        today.pass_days(1)
        deleted = cache.clear(**conditions)

        assert (deleted, set(cache.found([b"old", b"new", b"other"]).values)) == (3 - len(left), left)


class TestSeveralAtOnce:
    def test_many_threads_open_a_new_file_at_once_without_a_lock_error(self, open_cache: OpenCache, path: Path) -> None:
        def work(number: int) -> None:
            cache = AnswerCache(Database(path))
            cache.put({bytes([number]): ANSWER})
            cache.database.close()

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(work, range(200)))

        assert len(open_cache().found([bytes([number]) for number in range(200)]).values) == 200

    def test_processes_write_and_read_at_once_without_a_lock_error(self, open_cache: OpenCache, path: Path) -> None:
        script = """
import sys
from pathlib import Path
from mistral_nb.engine.cache import AnswerCache, KeptAnswer
from mistral_nb.engine.database import Database
cache = AnswerCache(Database(Path(sys.argv[1])), max_bytes=10_000_000)
answer = KeptAnswer(value="x", verb="v", model="m")
sys.stdin.readline()
for number in range(100):
    cache.put({f"{sys.argv[2]}/{number}/{part}".encode(): answer for part in range(5)})
    cache.found([f"{other}/{number}/0".encode() for other in range(3)])
"""
        processes = [
            subprocess.Popen([sys.executable, "-c", script, str(path), str(number)], stdin=subprocess.PIPE)
            for number in range(3)
        ]
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(b"\n")
            process.stdin.flush()
        for process in processes:
            process.communicate()

        assert [process.returncode for process in processes] == [0, 0, 0]
        assert open_cache().info().answers == 1500


class TestKey:
    @pytest.mark.parametrize(
        "other",
        [
            key("Hello "),
            key(request=replace(REQUEST, temperature=0.1)),
            key(request=replace(REQUEST, max_tokens=6)),
            key(request=replace(REQUEST, response_format={"type": "json_object"})),
            key(request=replace(REQUEST, tools=({"type": "function"},))),
            key(request=replace(REQUEST, options={"safe_prompt": True})),
            key(request=replace(REQUEST, choice=LabelChoice(text="", labels=("a", "b")))),
            key(request=replace(REQUEST, messages=({"role": "system", "content": "s"}, *REQUEST.messages))),
            key(request=replace(REQUEST, model="n")),
            key(endpoint="https://b"),
            key(answering_model="m@2"),
            key(prompt_version="classify/2"),
        ],
    )
    def test_whatever_can_change_the_answer_changes_the_key(self, other: bytes) -> None:
        assert other != key()

    @given(st.dictionaries(st.sampled_from(["top_k", "safe_prompt", "n"]), st.integers(), min_size=2))
    def test_the_order_of_options_does_not_change_it(self, options: dict[str, int]) -> None:
        turned = dict(reversed(options.items()))

        assert key(request=replace(REQUEST, options=options)) == key(request=replace(REQUEST, options=turned))

    @settings(max_examples=200)
    @given(texts=st.lists(st.text(st.characters()), min_size=2, max_size=2, unique=True))
    def test_two_texts_never_share_one(self, texts: list[str]) -> None:
        assert key(texts[0]) != key(texts[1])

    def test_it_stays_the_same_between_versions(self) -> None:
        """A changed key would make every user pay again; raise KEY_VERSION on purpose instead."""
        assert key().hex()[:16] == "37dd7943cd01783a"

    @pytest.mark.parametrize("more", [{"other": "b"}, {"instructions": "Be strict."}, {"is_several": True}], ids=list)
    def test_a_choice_that_the_messages_say_as_well_leaves_it_as_it_was_without_one(self, more: dict[str, Any]) -> None:
        choice = LabelChoice(text="", labels=("a", "b"), **more)

        assert key(request=replace(REQUEST, choice=choice)) == key()

    def test_a_request_that_is_no_json_is_refused(self) -> None:
        with pytest.raises(TypeError, match="which is not JSON"):
            key(request=replace(REQUEST, options={"n": object()}))

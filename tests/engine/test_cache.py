import json
import os
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mistral_nb.completion import Completion, CompletionRequest, LabelChoice, TokenUsage
from mistral_nb.engine.cache import AnswerCache, answer_key
from mistral_nb.errors import CacheProblem

REQUEST = CompletionRequest(model="m", messages=({"role": "user", "content": "Hello"},), temperature=0.0, max_tokens=5)
ANSWER = Completion(
    text="Grüß dich 👋", model="m", usage=TokenUsage(prompt_tokens=3, completion_tokens=2), response_id="r1"
)


def key(request: CompletionRequest = REQUEST, **others: str) -> bytes:
    parts = {"endpoint": "https://a", "answering_model": "m@1", "prompt_version": "classify/1"} | others
    return answer_key(request, **parts)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "cache.sqlite"


def test_a_kept_answer_comes_back_whole(path: Path) -> None:
    cache = AnswerCache(path)
    cache.put(b"k", ANSWER)

    assert cache.get([b"k"]) == {b"k": ANSWER}
    cache.close()


def test_an_answer_outlives_the_process_that_kept_it(path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from mistral_nb.engine.cache import AnswerCache;"
        "from mistral_nb.completion import Completion;"
        "AnswerCache(Path(sys.argv[1])).put(b'k', Completion(text='kept', model='m')); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=False)

    cache = AnswerCache(path)
    assert cache.get([b"k"])[b"k"].text == "kept"
    cache.close()


def test_more_keys_than_one_query_takes_are_all_found(path: Path) -> None:
    cache = AnswerCache(path)
    keys = [number.to_bytes(4, "big") for number in range(1203)]
    for one in keys:
        cache.put(one, ANSWER)

    assert set(cache.get(keys)) == set(keys)
    cache.close()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such rights")
def test_the_file_and_its_journal_are_private(path: Path) -> None:
    cache = AnswerCache(path)
    cache.put(b"k", ANSWER)

    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}
    cache.close()


def test_a_file_of_another_program_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE mine (x)")
    other.close()
    before = path.read_bytes()

    with pytest.raises(CacheProblem, match="another program"):
        AnswerCache(path).get([b"k"])
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("not a database, but long enough to be read as the header of one" * 20)

    with pytest.raises(CacheProblem, match="not a database"):
        AnswerCache(path).get([b"k"])


def test_a_home_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(CacheProblem, match="keep the cache elsewhere"):
        AnswerCache(tmp_path / "file" / "cache.sqlite").get([b"k"])


def test_a_file_from_a_later_version_is_refused(path: Path) -> None:
    AnswerCache(path).put(b"k", ANSWER)
    with sqlite3.connect(path) as file:
        file.execute("PRAGMA user_version=99")
    file.close()

    with pytest.raises(CacheProblem, match="version 99"):
        AnswerCache(path).get([b"k"])


def test_many_threads_open_a_new_file_at_once_without_a_lock_error(path: Path) -> None:
    def work(number: int) -> None:
        cache = AnswerCache(path)
        cache.put(bytes([number]), ANSWER)
        cache.close()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(200)))

    cache = AnswerCache(path)
    assert len(cache.get(bytes([number]) for number in range(200))) == 200
    cache.close()


@pytest.mark.parametrize(
    "other",
    [
        key(replace(REQUEST, messages=({"role": "user", "content": "Hello "},))),
        key(replace(REQUEST, temperature=0.1)),
        key(replace(REQUEST, max_tokens=6)),
        key(replace(REQUEST, response_format={"type": "json_object"})),
        key(replace(REQUEST, tools=({"type": "function"},))),
        key(replace(REQUEST, options={"safe_prompt": True})),
        key(replace(REQUEST, choice=LabelChoice(text="Hello", labels=("a", "b")))),
        key(endpoint="https://b"),
        key(answering_model="m@2"),
        key(prompt_version="classify/2"),
    ],
)
def test_whatever_can_change_the_answer_changes_the_key(other: bytes) -> None:
    assert other != key()


@given(st.dictionaries(st.sampled_from(["top_k", "safe_prompt", "n"]), st.integers(), min_size=2))
def test_the_order_of_options_does_not_change_the_key(options: dict[str, int]) -> None:
    turned = dict(reversed(options.items()))

    assert key(replace(REQUEST, options=options)) == key(replace(REQUEST, options=turned))


def test_the_key_of_an_answer_stays_the_same_between_versions() -> None:
    """A changed key would make every user pay again; raise KEY_VERSION on purpose instead."""
    assert key().hex()[:16] == "762707a0fc25184b"


def test_the_file_holds_no_prompt(path: Path) -> None:
    cache = AnswerCache(path)
    cache.put(key(), ANSWER)
    cache.close()

    assert b"Hello" not in path.read_bytes()
    assert json.dumps(ANSWER.text).encode() in path.read_bytes()

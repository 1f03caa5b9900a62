"""Keys that a prompt explains, and the log-probabilities of such a key."""

import json
import math
from typing import Any

import pytest

from tests.fake_api.asking import CHAT, asked, http, user
from tests.fake_api.schema_rules import Legend, fill
from tests.fake_api.server import FakeApi

PROMPT = (
    "Which fits?\nA: billing (invoices, refunds)\nB: bug\nC: bug report\nD: other (none of the above fits)\nAnswer."
)
KEYS = ["A", "B", "C", "D"]
FORM = {
    "type": "json_schema",
    "json_schema": {
        "name": "choice",
        "schema": {"type": "object", "properties": {"label": {"type": "string", "enum": KEYS}}},
    },
}


def sent(api: FakeApi, text: str, **more: Any) -> dict[str, Any]:
    messages = [{"role": "system", "content": PROMPT}, *user(text)]
    with http(api) as client:
        answer: dict[str, Any] = client.post(
            CHAT, json=asked(response_format=FORM, **more) | {"messages": messages}
        ).json()
    return answer


@pytest.mark.parametrize(
    ("text", "key"),
    [("my BILLING", "A"), ("two refunds", "A"), ("a bug", "B"), ("a bug report", "C"), ("hello, A or B", "D")],
)
def test_a_key_is_chosen_by_what_it_stands_for(text: str, key: str) -> None:
    assert Legend(PROMPT).chosen(KEYS, text) == key


def test_a_list_has_every_key_that_the_text_speaks_for() -> None:
    schema = {"type": "array", "items": {"type": "string", "enum": ["A", "B"]}}

    assert fill(schema, "a bug and two invoices", legend=Legend(PROMPT)) == ["A", "B"]


def test_values_that_no_line_explains_are_looked_for_themselves() -> None:
    assert fill({"enum": ["red", "blue"]}, "so blue", legend=Legend(PROMPT)) == "blue"


def test_the_server_reads_the_legend_of_the_system_message(server: FakeApi) -> None:
    answer = sent(server, "two refunds")

    assert json.loads(answer["choices"][0]["message"]["content"]) == {"label": "A"}
    assert "logprobs" not in answer["choices"][0]


def test_log_probabilities_make_the_text_and_the_keys_compete(server: FakeApi) -> None:
    tokens = sent(server, "a bug", logprobs=True, top_logprobs=4)["choices"][0]["logprobs"]["content"]
    (key,) = [token for token in tokens if token["token"] == "B"]

    assert "".join(token["token"] for token in tokens) == '{"label": "B"}'
    assert math.exp(key["logprob"]) == pytest.approx(0.9)
    assert sum(math.exp(other["logprob"]) for other in key["top_logprobs"]) == pytest.approx(1)


def test_a_server_may_leave_log_probabilities_out(server: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.settings, "log_probabilities", "left out")

    assert "logprobs" not in sent(server, "a bug", logprobs=True)["choices"][0]


def test_a_server_may_refuse_the_field(server: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.settings, "log_probabilities", "refused")

    assert sent(server, "a bug", logprobs=True)["detail"][0]["loc"] == ["body", "logprobs"]

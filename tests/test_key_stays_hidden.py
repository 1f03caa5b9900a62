"""After a day's work through every door, the key is in no output, log, file, traceback, pickle, span or repr."""

import gc
import logging
import pickle
import traceback
from collections.abc import Iterator

import pandas as pd
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import mistral_nb
from mistral_nb.engine.session import Session
from mistral_nb.errors import MistralNotebookError
from mistral_nb.settings import current_settings
from tests.fake_api import FakeApi, Fault

KEY = "Zq7Kx2Vb9Lm4Np6Rt8Ws1Yd3Fg5Hj0C"
LABELS = ["billing", "delivery"]


@pytest.fixture
def api(impatient: None) -> Iterator[FakeApi]:
    with FakeApi(api_key=KEY) as fake:
        mistral_nb.configure(endpoint=fake.url, api_key=KEY)
        yield fake


def work(fake: FakeApi) -> list[MistralNotebookError]:
    """Ask through every method, and fail in every way that answers with the key; returns the errors."""
    session = mistral_nb.session()
    session.complete("Hello", max_tokens=5)
    list(session.stream("Hello", max_tokens=5))
    session.embed(["a text"])
    session.moderate(["a text"])
    session.models()
    rows = pd.Series(["a bill", "a parcel", "poison"])
    fake.play(Fault(status=400, body={"message": f"You sent {KEY}"}, when="poison"))
    with pytest.warns(mistral_nb.FailedRowsWarning):
        rows.mistral.classify(LABELS, rows_per_request=1)
    errors = []
    for fault in (
        Fault(status=401, body={"detail": f"Bad key {KEY}"}),
        Fault(status=422, body={"detail": [{"loc": ["body", KEY], "msg": KEY}]}),
        Fault(status=200, body=f"your key is {KEY}"),
        Fault(status=403, body={"error": {"message": KEY}, "guardrails": {"results": {}}}),
    ):
        fake.play(fault)
        try:
            session.complete("Hello", max_tokens=5)
        except MistralNotebookError as error:
            errors.append(error)
    assert len(errors) == 4
    return errors


def test_no_output_and_no_log_holds_the_key(
    api: FakeApi,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MISTRAL_DEBUG", "1")
    with pytest.warns(UserWarning, match="the SDK prints every request"):
        work(api)
    shown = capfd.readouterr()

    assert caplog.records, "the SDK's debug output is part of what is looked through"
    assert KEY not in caplog.text + shown.out + shown.err


def test_no_file_holds_the_key(api: FakeApi) -> None:
    work(api)
    mistral_nb.session().close()
    files = [file for file in current_settings().home.rglob("*") if file.is_file()]

    assert files, "there is a cache to look through"
    assert [file.name for file in files if KEY.encode() in file.read_bytes()] == []


def test_no_exception_holds_the_key(api: FakeApi) -> None:
    errors = work(api)
    shown = [
        f"{error}{error!r}{error.args!r}{vars(error)!r}{''.join(error._render_traceback_())}"
        f"{''.join(traceback.TracebackException.from_exception(error, capture_locals=True).format())}"
        for error in errors
    ]

    # This test's own frames name the key; what the package adds to them does not.
    ours = [line for text in shown for line in text.splitlines() if KEY in line and "Fault(" not in line]
    assert ours == []


def test_no_pickle_holds_the_key(api: FakeApi) -> None:
    errors = work(api)
    last = mistral_nb.session().last_run
    assert last is not None

    kept = [pickle.dumps(value) for value in (*errors, last.failed, last.details, last.column)]
    assert [data for data in kept if KEY.encode() in data] == []


def test_no_span_holds_the_key(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    work(api)
    mistral_nb.session().close()
    spans = [span.to_json() for span in exporter.get_finished_spans()]
    provider.shutdown()

    assert spans, "there are spans to look through"
    assert [span for span in spans if KEY in span] == []


def test_settings_with_a_key_are_not_pickled(api: FakeApi) -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(current_settings())


def test_no_repr_of_a_living_object_holds_the_key(api: FakeApi) -> None:
    work(api)
    ours = [value for value in gc.get_objects() if str(type(value).__module__).startswith("mistral_nb.")]

    assert any(isinstance(value, Session) for value in ours)
    assert [type(value).__name__ for value in ours if KEY in repr(value)] == []


def test_no_answer_of_the_config_command_holds_the_key(api: FakeApi) -> None:
    from mistral_nb.notebook.magic.config_command import config_command

    shown = config_command([])

    assert "SecretKey('…Hj0C')" in shown
    assert KEY not in shown

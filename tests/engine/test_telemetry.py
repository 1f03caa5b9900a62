"""Spans and metrics, seen by the SDK's own in-memory exporters."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

import mistral_nb
from mistral_nb import errors
from tests.engine.row_runs import LABELS, texts
from tests.fake_api import FakeApi, Fault

ignores_failures = pytest.mark.filterwarnings("ignore::mistral_nb.notebook.progress.FailedRowsWarning")


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Set a provider, as a user does, and take it away again."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryMetricReader]:
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader])
    monkeypatch.setattr(metrics, "get_meter", provider.get_meter)
    yield reader
    provider.shutdown()


def ended(spans: InMemorySpanExporter) -> tuple[ReadableSpan, ...]:
    mistral_nb.session().close()  # what is under way has come to its end
    return spans.get_finished_spans()


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_a_question_is_a_span_by_the_conventions(priced: FakeApi, spans: InMemorySpanExporter) -> None:
    answer = mistral_nb.session().complete("Hello", model="small", max_tokens=5, temperature=0.5)
    (span,) = ended(spans)
    said = attributes(span)

    assert (span.name, span.kind) == ("chat mistral-small-latest", SpanKind.CLIENT)
    assert said["gen_ai.operation.name"] == "chat"
    assert said["gen_ai.provider.name"] == "mistral_ai"
    assert said["gen_ai.request.model"] == "mistral-small-latest"
    assert said["gen_ai.response.id"] == answer.response_id
    assert said["gen_ai.response.finish_reasons"] == (answer.finish_reason,)
    assert said["gen_ai.usage.input_tokens"] == answer.usage.prompt_tokens
    assert said["gen_ai.usage.output_tokens"] == answer.usage.completion_tokens
    assert (said["gen_ai.request.max_tokens"], said["gen_ai.request.temperature"]) == (5, 0.5)
    assert (said["server.address"], said["server.port"]) == ("127.0.0.1", priced.port)
    assert (said["mistral_nb.door"], said["mistral_nb.verb"], said["mistral_nb.attempts"]) == ("session", "complete", 1)


def test_a_span_lasts_as_long_as_the_request(api: FakeApi, spans: InMemorySpanExporter) -> None:
    answer = mistral_nb.session().complete("Hello")
    (span,) = ended(spans)

    assert span.end_time is not None
    assert span.start_time is not None
    assert (span.end_time - span.start_time) / 1e9 == pytest.approx(answer.latency_seconds, abs=1e-5)


def test_a_span_is_below_the_users_own(api: FakeApi, spans: InMemorySpanExporter) -> None:
    with trace.get_tracer("mine").start_as_current_span("analysis"):
        mistral_nb.session().complete("Hello")
        list(mistral_nb.session().stream("Hello"))
    question, stream, analysis = ended(spans)

    assert analysis.context is not None
    assert [span.parent and span.parent.span_id for span in (question, stream)] == [analysis.context.span_id] * 2


def test_a_run_of_rows_is_one_parent_span(priced: FakeApi, spans: InMemorySpanExporter) -> None:
    column = pd.Series(texts(4))
    column.mistral.classify(LABELS)
    *rows, run = ended(spans)

    assert run.context is not None
    assert run.name == "mistral_nb.run classify"
    assert [span.parent and span.parent.span_id for span in rows] == [run.context.span_id] * 4
    assert attributes(run)["mistral_nb.rows.total"] == 4
    assert attributes(run)["mistral_nb.requests"] == 4
    assert attributes(run)["mistral_nb.cost_usd"] == pytest.approx(float(column.mistral.last_run.result.cost_usd))


def test_every_attempt_is_in_one_span(api: FakeApi, spans: InMemorySpanExporter) -> None:
    api.play(Fault(status=503, times=2))
    mistral_nb.session().complete("Hello")
    (span,) = ended(spans)

    assert attributes(span)["mistral_nb.attempts"] == 3
    assert span.status.status_code is StatusCode.UNSET


def test_an_error_is_the_spans_status_and_type(api: FakeApi, spans: InMemorySpanExporter) -> None:
    api.play(Fault(status=401))
    with pytest.raises(errors.InvalidKey):
        mistral_nb.session().complete("Hello")
    (span,) = ended(spans)

    assert span.status.status_code is StatusCode.ERROR
    assert attributes(span)["error.type"] == "InvalidKey"


def test_an_embedding_has_its_own_operation(api: FakeApi, spans: InMemorySpanExporter) -> None:
    mistral_nb.session().embed(["a", "b"])
    (span,) = ended(spans)

    assert span.name == "embeddings mistral-embed"
    assert attributes(span)["mistral_nb.rows"] == 2


def test_content_and_key_are_in_no_span(api: FakeApi, spans: InMemorySpanExporter) -> None:
    mistral_nb.session().complete("the secret question")
    pd.Series(["a secret bug"]).mistral.classify(LABELS)

    shown = "".join(span.to_json() for span in ended(spans))
    assert not any(word in shown for word in ("secret", "Answer to", api.api_key))


def test_content_is_there_when_it_is_asked_for(
    api: FakeApi, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    mistral_nb.session().complete("Hello", system="Be brief.")
    (span,) = ended(spans)
    asked, said = (json.loads(attributes(span)[f"gen_ai.{side}.messages"]) for side in ("input", "output"))

    assert [(message["role"], message["parts"][0]["content"]) for message in asked] == [
        ("system", "Be brief."),
        ("user", "Hello"),
    ]
    assert said[0]["parts"] == [{"type": "text", "content": "Answer to: Hello"}]


def test_tokens_and_duration_are_metrics(api: FakeApi, measured: InMemoryMetricReader) -> None:
    answer = mistral_nb.session().complete("Hello")
    mistral_nb.session().close()
    data = measured.get_metrics_data()
    assert data is not None
    (scope,) = data.resource_metrics[0].scope_metrics
    found = {metric.name: metric for metric in scope.metrics}
    sums = {
        point.attributes["gen_ai.token.type"]: point.sum
        for point in found["gen_ai.client.token.usage"].data.data_points
    }

    assert sums == {"input": answer.usage.prompt_tokens, "output": answer.usage.completion_tokens}
    assert found["gen_ai.client.operation.duration"].unit == "s"
    assert next(iter(found["gen_ai.client.operation.duration"].data.data_points)).count == 1


def test_without_a_provider_nothing_of_it_is_loaded(api: FakeApi) -> None:
    script = """
import sys, pandas as pd, mistral_nb
mistral_nb.configure(endpoint=sys.argv[1], api_key=sys.argv[2])
pd.Series(["a bug"]).mistral.classify(["bug", "billing"])
print(*[name for name in sys.modules if name.startswith("opentelemetry.sdk") or name == "opentelemetry.trace"])
"""
    done = subprocess.run(
        [sys.executable, "-c", script, api.url, api.api_key], capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == []

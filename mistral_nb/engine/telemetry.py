"""Requests and runs as OpenTelemetry spans and metrics, by the semantic conventions for generative AI.

Keeps to itself: the names of attributes (opentelemetry-semantic-conventions 0.66b2, gen_ai; `mistral_nb.…` where these have none),
and whether anybody listens.
Promises: where no provider is set nothing is imported and nothing made; a request's span is made when it has ended, with the time
it began, below the span that was current where it was asked for; the requests of a run of rows are below the run's own span. No
prompt and no answer is in a span unless OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT asks for it.
"""

import json
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mistral_nb.completion import CompletionRequest
from mistral_nb.engine.occasion import Occasion, current_occasion
from mistral_nb.engine.open_request import EndedRequest
from mistral_nb.engine.request_record import RequestRecord
from mistral_nb.engine.rows import RowsProgress
from mistral_nb.settings import is_local

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

_OPERATIONS = {"chat": "chat", "fim": "text_completion", "embeddings": "embeddings", "moderations": "moderations"}
_CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_CAPTURING = frozenset({"true", "1", "span_only", "span_and_event"})
_NANOSECONDS = 1_000_000_000
_DURATION = "gen_ai.client.operation.duration"
_TOKENS = "gen_ai.client.token.usage"
# The buckets that the conventions advise.
_DURATION_BUCKETS = [0.01 * 2**power for power in range(14)]
_TOKEN_BUCKETS = [4.0**power for power in range(14)]


class Telemetry:
    """Spans and metrics of one session; as a listener, it takes each request that ends.

    Parameters
    ----------
    server_url
        Of the hosted API.
    """

    def __init__(self, server_url: str) -> None:
        address = urlsplit(server_url)
        self._server: dict[str, Any] = {
            "server.address": address.hostname or server_url,
            "server.port": address.port or (443 if address.scheme == "https" else 80),
        }
        self._instruments: tuple[Any, Any] | None = None

    def __call__(self, ended: EndedRequest) -> None:
        """Tell who listens of a request; rows that took a kept answer are none."""
        if ended.record.from_cache:
            return
        tracer, counts = _tracer(), "opentelemetry.sdk.metrics" in sys.modules
        if tracer is None and not counts:
            return
        common = self._common(ended.record)
        if tracer is not None:
            self._make_span(tracer, ended, common)
        if counts:
            self._count(ended.record, common)

    def run_began(self, occasion: Occasion, *, model: str, rows: int) -> "tuple[Occasion, Span | None]":
        """Begin the span of a run of rows; return the occasion of its requests, which belong below it."""
        tracer = _tracer()
        if tracer is None:
            return occasion, None
        from opentelemetry.trace import set_span_in_context

        attributes: dict[str, Any] = {
            "gen_ai.request.model": model,
            "mistral_nb.verb": occasion.verb or "",
            "mistral_nb.rows.total": rows,
        }
        span = tracer.start_span(f"mistral_nb.run {occasion.verb}", context=occasion.trace, attributes=attributes)
        return replace(occasion, trace=set_span_in_context(span, occasion.trace)), span

    def run_ended(self, span: "Span | None", progress: RowsProgress) -> None:
        """End the span of a run with how far it came."""
        if span is None:
            return
        span.set_attributes(
            {
                "mistral_nb.rows.done": progress.done,
                "mistral_nb.rows.cached": progress.cached,
                "mistral_nb.rows.failed": progress.failed,
                "mistral_nb.requests": progress.requests,
            }
        )
        if progress.cost_usd is not None:
            span.set_attribute("mistral_nb.cost_usd", float(progress.cost_usd))
        span.end()

    def _common(self, record: RequestRecord) -> dict[str, Any]:
        """Return what spans and metrics say alike."""
        is_embedded = is_local(record.model)
        common = {
            "gen_ai.operation.name": _OPERATIONS[record.operation],
            "gen_ai.provider.name": "mistral_nb.embedded" if is_embedded else "mistral_ai",
            "gen_ai.request.model": record.model,
            **({} if is_embedded else self._server),
        }
        if record.response_model is not None:
            common["gen_ai.response.model"] = record.response_model
        if record.error is not None:
            common["error.type"] = record.error
        return common

    def _make_span(self, tracer: "Tracer", ended: EndedRequest, common: dict[str, Any]) -> None:
        from opentelemetry.trace import SpanKind, Status, StatusCode

        record = ended.record
        began = round(record.began_unix_seconds * _NANOSECONDS)
        span = tracer.start_span(
            f"{common['gen_ai.operation.name']} {record.model}",
            context=ended.trace,
            kind=SpanKind.CLIENT,
            attributes={**common, **_attributes(record), **_asked(ended), **_content(ended)},
            start_time=began,
        )
        if record.error is not None:
            span.set_status(Status(StatusCode.ERROR, record.error))
        span.end(end_time=began + round(record.latency_seconds * _NANOSECONDS))

    def _count(self, record: RequestRecord, common: dict[str, Any]) -> None:
        if self._instruments is None:
            from opentelemetry.metrics import get_meter

            meter = get_meter("mistral_nb")
            self._instruments = (
                meter.create_histogram(_DURATION, unit="s", explicit_bucket_boundaries_advisory=_DURATION_BUCKETS),
                meter.create_histogram(_TOKENS, unit="{token}", explicit_bucket_boundaries_advisory=_TOKEN_BUCKETS),
            )
        duration, tokens = self._instruments
        duration.record(record.latency_seconds, common)
        for kind, count in (("input", record.prompt_tokens), ("output", record.completion_tokens)):
            if count:
                tokens.record(count, {**common, "gen_ai.token.type": kind})


def occasion_now(verb: str) -> Occasion:
    """Return the occasion of a request that is made now, with the span that is current here; `verb` as in `current_occasion`."""
    occasion = current_occasion(verb)
    if _tracer() is None:
        return occasion
    from opentelemetry import context

    return replace(occasion, trace=context.get_current())


def _tracer() -> "Tracer | None":
    """Return what makes spans; None where no provider is set."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider):
        return None
    tracer: Tracer = provider.get_tracer("mistral_nb")
    return tracer


def _attributes(record: RequestRecord) -> dict[str, Any]:
    """Return what came back, what it used, and who asked; what is not known is left out."""
    given = {
        "gen_ai.response.id": record.response_id,
        "gen_ai.response.finish_reasons": None if record.finish_reason is None else (record.finish_reason,),
        "gen_ai.response.time_to_first_chunk": record.first_token_seconds,
        "gen_ai.usage.input_tokens": record.prompt_tokens,
        "gen_ai.usage.output_tokens": record.completion_tokens,
        "gen_ai.usage.cache_read.input_tokens": record.cached_tokens or None,
        "mistral_nb.door": record.door,
        "mistral_nb.verb": record.verb,
        "mistral_nb.tag": record.tag,
        "mistral_nb.rows": record.rows,
        "mistral_nb.attempts": record.attempts,
        "mistral_nb.correlation_id": record.correlation_id,
        "mistral_nb.cost_usd": None if record.cost_usd is None else float(record.cost_usd),
    }
    return {name: value for name, value in given.items() if value is not None}


def _asked(ended: EndedRequest) -> dict[str, Any]:
    """Return how the request was asked, but not what."""
    request = ended.request
    if not isinstance(request, CompletionRequest):
        return {}
    given = {
        "gen_ai.request.max_tokens": request.max_tokens,
        "gen_ai.request.temperature": request.temperature,
        "gen_ai.request.top_p": request.top_p,
        "gen_ai.request.seed": request.random_seed,
        "gen_ai.request.stop_sequences": request.stop or None,
    }
    return {name: value for name, value in given.items() if value is not None}


def _content(ended: EndedRequest) -> dict[str, Any]:
    """Return what was asked and answered, where the environment asks for it."""
    if os.environ.get(_CAPTURE, "").strip().lower() not in _CAPTURING:
        return {}
    content: dict[str, Any] = {}
    request, answer = ended.request, ended.completion
    if isinstance(request, CompletionRequest):
        messages = [_message(str(said.get("role")), said.get("content")) for said in request.messages]
        content["gen_ai.input.messages"] = json.dumps(messages, ensure_ascii=False)
    if answer is not None:
        said = {**_message("assistant", answer.text), "finish_reason": answer.finish_reason}
        content["gen_ai.output.messages"] = json.dumps([said], ensure_ascii=False)
    return content


def _message(role: str, content: Any) -> dict[str, Any]:
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    return {"role": role, "parts": [{"type": "text", "content": text}]}

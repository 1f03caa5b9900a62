"""One request in, one reply out: what each endpoint checks, and in which order.

Keeps to itself: the routes, the limit counters and the prompt cache; no I/O.
Promises: `Endpoints.reply` raises nothing but `Rejection`. To serve another path, add a line to `_routes` and a method.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import takewhile
from operator import eq
from typing import Any

from tests.fake_api import errors, known_models, rules, wire
from tests.fake_api.batch import Batches
from tests.fake_api.faults import NO_FAULT, Fault
from tests.fake_api.known_models import KnownModel
from tests.fake_api.limits import Admission, Limit, MinuteCounter
from tests.fake_api.message_order import check_function_name, check_messages
from tests.fake_api.recorder import Recorder, SeenRequest, plain
from tests.fake_api.settings import Settings
from tests.fake_api.validation import check_body
from tests.fake_api.wire import Answer, Choice, Reply

JsonObject = dict[str, Any]
Handler = Callable[[JsonObject, Fault], Reply]

# What the recordings count cached tokens in.
_CACHE_BLOCK_TOKENS = 16


class Endpoints:
    """The paths of the API."""

    def __init__(self, settings: Settings, recorder: Recorder) -> None:
        self._settings = settings
        self._recorder = recorder
        self._models = known_models.by_name(settings.models)
        self._counters: dict[str, MinuteCounter] = {}
        self._is_limited = True
        self._cached_prompts: dict[str, str] = {}
        self._routes: dict[tuple[str, str], Handler] = {
            ("POST", "/v1/chat/completions"): self._chat,
            ("POST", "/v1/fim/completions"): self._fim,
            ("POST", "/v1/embeddings"): self._embeddings,
            ("POST", "/v1/moderations"): self._moderations,
            ("POST", "/v1/chat/moderations"): self._chat_moderations,
        }
        self._batches = Batches(settings, self._batched)

    def reset(self) -> None:
        """Forget what was used and cached, and read the settings again."""
        self._models = known_models.by_name(self._settings.models)
        self._counters.clear()
        self._cached_prompts.clear()
        self._batches.reset()

    def reply(self, request: SeenRequest, authorization: str | None, fault: Fault = NO_FAULT) -> Reply:
        """Return the answer to a request, or raise the `Rejection` of it."""
        if authorization != f"Bearer {self._settings.api_key}":
            raise errors.wrong_key(is_missing=not authorization)
        method, path = request.method, request.path
        handler = self._routes.get((method, path))
        if handler is not None:
            check_body(path, request.body, is_nested=self._settings.is_validation_error_nested)
            assert request.body is not None
            return handler(request.body, fault)
        if self._batches.serves(path):
            return self._batches.reply(request)
        if method == "GET" and path == "/v1/models":
            return self._list_models()
        if method == "GET" and path.startswith("/v1/models/"):
            return self._one_model(path.removeprefix("/v1/models/"))
        raise errors.no_route(wire.correlation_headers("")["x-kong-request-id"])

    def _batched(self, request: SeenRequest, fault: Fault) -> Reply:
        """Return the answer to a request of a job, which no limit of the minute holds up."""
        check_body(request.path, request.body)
        assert request.body is not None
        self._is_limited = False
        try:
            return self._routes["POST", request.path](request.body, fault)
        finally:
            self._is_limited = True

    def _chat(self, body: JsonObject, fault: Fault) -> Reply:
        model = self._model(body["model"], known_models.CHAT)
        check_messages(body["messages"])
        for tool in body.get("tools") or ():
            check_function_name(tool["function"]["name"])
        if rules.is_thinking(body) and not model.has_reasoning:  # assumed; mistral-common refuses it for such models
            raise errors.invalid_argument("reasoning_effort is not supported for this model")
        if body.get("logprobs") and self._settings.log_probabilities != "given":
            if self._settings.log_probabilities == "refused":
                raise errors.invalid_fields(
                    [{"type": "extra_forbidden", "loc": ["body", "logprobs"], "msg": "Extra inputs are not permitted"}],
                    is_nested=self._settings.is_validation_error_nested,
                )
            body = {**body, "logprobs": False}
        self._check_guardrails(body)
        prompt_tokens = rules.prompt_tokens(body)
        tokens_left = self._tokens_left(model, prompt_tokens)

        def choices() -> tuple[Choice, ...]:
            by_rule = rules.chat_choices(body, tokens_left=tokens_left)
            if fault.finish_reason == "tool_calls":
                return tuple(replace(choice, text=fault.content or "") for choice in by_rule)
            return _scripted(fault) or by_rule

        return self._completion(body, model, prompt_tokens, choices, self._cached_tokens(body, prompt_tokens))

    def _fim(self, body: JsonObject, fault: Fault) -> Reply:
        model = self._model(body["model"], known_models.FIM)
        prompt_tokens = rules.count_tokens(body["prompt"]) + rules.count_tokens(body.get("suffix") or "")
        tokens_left = self._tokens_left(model, prompt_tokens)

        def choices() -> tuple[Choice, ...]:
            return _scripted(fault) or (rules.fim_choice(body, tokens_left=tokens_left),)

        return self._completion(body, model, prompt_tokens, choices, 0)

    def _completion(
        self,
        body: JsonObject,
        model: KnownModel,
        prompt_tokens: int,
        choices: Callable[[], tuple[Choice, ...]],
        cached_tokens: int,
    ) -> Reply:
        counter, admission = self._admit(model, prompt_tokens)
        said = choices()
        answer = Answer(
            model=body["model"],  # the alias, as it was asked for
            choices=said,
            prompt_tokens=prompt_tokens,
            completion_tokens=rules.completion_tokens(said),
            cached_tokens=cached_tokens,
            created=int(time.time()),
        )
        headers = self._settle(model, counter, admission, prompt_tokens, answer.completion_tokens)
        if body.get("stream"):
            # Recorded streams have no rate-limit headers, although they do count against the limits.
            shown = {name: value for name, value in headers.items() if "ratelimit" not in name}
            return wire.stream_reply(answer, is_tool_call_split=self._settings.is_tool_call_split, headers=shown)
        return wire.json_reply(wire.completion_body(answer), headers=headers)

    def _embeddings(self, body: JsonObject, fault: Fault) -> Reply:
        model = self._model(body["model"], known_models.EMBEDDINGS)
        inputs = _inputs(body)
        tokens = [rules.count_tokens(text) for text in inputs]
        if len(inputs) > self._settings.max_embedding_inputs:
            raise errors.too_many_inputs()
        if sum(tokens) > self._settings.max_embedding_tokens:
            raise errors.too_many_tokens_overall()
        self._tokens_left(model, max(tokens, default=0))
        counter, admission = self._admit(model, sum(tokens))
        dimension = body.get("output_dimension") or self._settings.embedding_dimension or model.embedding_dimension
        dtype, encoding = body.get("output_dtype") or "float", body.get("encoding_format") or "float"
        data = [
            {
                "object": "embedding",
                "embedding": rules.encode_embedding(rules.embed(text, dimension), dtype, encoding),
                "index": index,
            }
            for index, text in enumerate(inputs)
        ]
        answer = Answer(model=body["model"], choices=(), prompt_tokens=sum(tokens), completion_tokens=0)
        reply_body = {"id": answer.id, "object": "list", "data": data, "model": answer.model, "usage": answer.usage}
        headers = self._settle(model, counter, admission, sum(tokens), 0)
        # Recorded embeddings show the limit on requests only, although they say what the tokens cost.
        shown = {name: value for name, value in headers.items() if not name.endswith("tokens-minute")}
        return wire.json_reply(reply_body, headers=shown)

    def _moderations(self, body: JsonObject, fault: Fault) -> Reply:
        return self._moderated(body, _inputs(body))

    def _chat_moderations(self, body: JsonObject, fault: Fault) -> Reply:
        """Judge the last message of each conversation; the list may be one conversation or several."""
        chats = body["input"] if body["input"] and isinstance(body["input"][0], list) else [body["input"]]
        return self._moderated(body, [plain(chat[-1].get("content")) if chat else "" for chat in chats])

    def _moderated(self, body: JsonObject, texts: list[str]) -> Reply:
        model = self._model(body["model"], known_models.MODERATION)
        tokens = sum(map(rules.count_tokens, texts))
        counter, admission = self._admit(model, tokens)
        answer = Answer(model=body["model"], choices=(), prompt_tokens=tokens, completion_tokens=0)
        results = [rules.moderate(text) for text in texts]
        reply_body = {"id": answer.id, "usage": answer.usage, "model": answer.model, "results": results}
        return wire.json_reply(reply_body, headers=self._settle(model, counter, admission, tokens, 0))

    def _list_models(self) -> Reply:
        created = int(time.time())
        cards = [known_models.card(name, model, created=created) for name, model in self._models.items()]
        return wire.json_reply({"object": "list", "data": cards})

    def _one_model(self, name: str) -> Reply:
        if name not in self._models:
            raise errors.unknown_model(name, status=404)  # assumed: no such answer is on record
        return wire.json_reply(known_models.card(name, self._models[name], created=int(time.time())))

    def _model(self, name: str, use: str) -> KnownModel:
        model = self._models.get(name)
        if model is None or use not in model.serves:
            raise errors.unknown_model(name)
        return model

    def _tokens_left(self, model: KnownModel, prompt_tokens: int) -> int:
        window = self._settings.context_window or model.context_window
        if prompt_tokens > window:
            raise errors.prompt_too_long(prompt_tokens, window)
        return window - prompt_tokens

    def _admit(self, model: KnownModel, prompt_tokens: int) -> tuple[MinuteCounter, Admission]:
        counter = self._counters.get(model.dated_name)
        if not self._is_limited:
            counter = MinuteCounter(Limit(requests_per_minute=1, tokens_per_minute=None), self._settings.clock)
        elif counter is None:
            counter = self._counters[model.dated_name] = MinuteCounter(self._limit(model), self._settings.clock)
        admission = counter.admit(prompt_tokens)
        if not admission.is_admitted:
            raise errors.rate_limited(counter.headers(admission))
        return counter, admission

    def _limit(self, model: KnownModel) -> Limit:
        settings = self._settings
        for name in model.names:
            if name in settings.limits_by_model:
                return settings.limits_by_model[name]
        return Limit(
            requests_per_minute=settings.limit_requests_per_minute, tokens_per_minute=settings.limit_tokens_per_minute
        )

    def _settle(
        self,
        model: KnownModel,
        counter: MinuteCounter,
        admission: Admission,
        prompt_tokens: int,
        completion_tokens: int,
    ) -> dict[str, str]:
        counter.charge(prompt_tokens + completion_tokens)
        self._recorder.used(prompt_tokens, completion_tokens)
        headers = counter.headers(admission, prompt_tokens + completion_tokens)
        if model.deprecation is not None:
            headers["x-model-deprecation-timestamp"] = model.deprecation
        return headers

    def _cached_tokens(self, body: JsonObject, prompt_tokens: int) -> int:
        """Return how much of the prompt the last one with the same `prompt_cache_key` began with, in whole blocks."""
        key = body.get("prompt_cache_key")
        if not key:
            return 0
        prompt = "\0".join(f"{message['role']}:{plain(message.get('content'))}" for message in body["messages"])
        shared = sum(1 for _ in takewhile(bool, map(eq, self._cached_prompts.get(key, ""), prompt)))
        self._cached_prompts[key] = prompt
        tokens = min(shared // rules.CHARACTERS_PER_TOKEN, prompt_tokens)
        return tokens // _CACHE_BLOCK_TOKENS * _CACHE_BLOCK_TOKENS

    def _check_guardrails(self, body: JsonObject) -> None:
        """Guardrails see the input only, and here any flagged category violates them, whatever their thresholds."""
        if not body.get("guardrails"):
            return
        verdict: Mapping[str, Mapping[str, Any]] = rules.moderate(
            "\n".join(plain(message.get("content")) for message in body["messages"])
        )
        violated = [name for name, is_flagged in verdict["categories"].items() if is_flagged]
        if violated:
            scores = verdict["category_scores"]
            raise errors.blocked_by_guardrail(
                "mistral-moderation-2603",
                {name: {"threshold": 0.1, "score": scores[name], "violated": True} for name in violated},
            )


def _scripted(fault: Fault) -> tuple[Choice, ...]:
    """Return what a fault lets the model say, if it does."""
    if fault.content is None and fault.finish_reason is None:
        return ()
    return (Choice(text=fault.content or "", finish_reason=fault.finish_reason or "stop"),)


def _inputs(body: JsonObject) -> list[str]:
    return [body["input"]] if isinstance(body["input"], str) else body["input"]

"""Mistral's HTTP API on loopback, answered by local models.

Keeps to itself: routes, the wire format of answers and streams, and when the server ends.
Promises: answers have the shapes and errors the status codes of api.mistral.ai; a client that goes away stops its generation;
a server that `process.py` started ends by itself when the last process that uses it is gone.
"""

import argparse
import asyncio
import contextlib
import hmac
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

from mistral_nb.backends.embedded import run_files, tool_calls
from mistral_nb.backends.embedded.api_requests import (
    ApiProblem,
    ChatRequest,
    EmbeddingsRequest,
    FillInMiddleRequest,
    LabelChoiceRequest,
    bad_request,
    check_messages,
    read_request,
    too_long,
    unprocessable,
)
from mistral_nb.backends.embedded.chat import Piece, Usage, fill_in_middle
from mistral_nb.backends.embedded.engine import ContextExceeded, EngineRefused, import_engine
from mistral_nb.backends.embedded.labels import SeveralLabelScores
from mistral_nb.backends.embedded.loaded_models import LoadedModels
from mistral_nb.errors import EmbeddedServerFailed

try:
    from aiohttp import web
except ImportError as missing:
    raise run_files.engine_missing(missing) from None

MAX_BODY_BYTES = 64_000_000
MAX_EMBEDDED_TEXTS = 1024
FIRST_LEASE_SECONDS = 60.0
LINGER_SECONDS = 5.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class EmbeddedApi:
    """The routes over the models of one home.

    Parameters
    ----------
    models
        What answers.
    api_key
        What clients must send as bearer token.
    fingerprint
        Sent to whoever takes a lease, to tell this server from another at the same port.
    """

    def __init__(self, models: LoadedModels, *, api_key: str, fingerprint: str = "") -> None:
        self._models = models
        self._api_key = api_key
        self._fingerprint = fingerprint
        self._running_requests = 0
        self._last_needed = time.monotonic()

    def application(self) -> web.Application:
        """Return the aiohttp application."""
        application = web.Application(middlewares=[self._guard], client_max_size=MAX_BODY_BYTES)
        application.add_routes(
            [
                web.post("/v1/chat/completions", self._chat),
                web.post("/v1/fim/completions", self._fill_in_middle),
                web.post("/v1/embeddings", self._embeddings),
                web.get("/v1/models", self._list_models),
                web.get("/v1/models/{name:.+}", self._one_model),
                web.post("/v1/mistral_nb/label_choices", self._label_choice),
                web.get("/v1/mistral_nb/lease", self._lease),
                web.get("/health", self._health),
            ]
        )
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Check the key, count who is served, and turn problems into the API's answers."""
        sent = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        if request.path != "/health" and not hmac.compare_digest(sent.encode(), self._api_key.encode()):
            return web.json_response({"detail": "Invalid API Key"}, status=401)
        self._running_requests += 1
        try:
            return await handler(request)
        except ContextExceeded as problem:
            return _answer_to(too_long(prompt_tokens=problem.prompt_tokens, context_tokens=problem.context_tokens))
        except EngineRefused as problem:
            return _answer_to(bad_request(str(problem)))
        except ApiProblem as problem:
            return _answer_to(problem)
        except web.HTTPNotFound:
            said = f"no route: the embedded model does not offer {request.method} {request.path}"
            return web.json_response({"message": said}, status=404)
        finally:
            self._running_requests -= 1
            self._last_needed = time.monotonic()

    async def _chat(self, http: web.Request) -> web.StreamResponse:
        request = read_request(ChatRequest, await http.read())
        check_messages(request.messages)
        engine = await self._models.chat_engine(request.model)
        choices = [
            tool_calls.answer(engine, request, choice_index=choice_index) for choice_index in range(request.n or 1)
        ]
        return await _respond(http, choices, model=request.model, is_streamed=request.stream)

    async def _fill_in_middle(self, http: web.Request) -> web.StreamResponse:
        request = read_request(FillInMiddleRequest, await http.read())
        engine = await self._models.chat_engine(request.model)
        if not engine.traits.fill_in_middle:
            raise unprocessable(
                ("model",), f"{request.model} can't fill in the middle. Use local-small, or a hosted codestral model."
            )
        choices = [fill_in_middle(engine, request)]
        return await _respond(http, choices, model=request.model, is_streamed=request.stream)

    async def _embeddings(self, http: web.Request) -> web.StreamResponse:
        request = read_request(EmbeddingsRequest, await http.read())
        texts = request.texts()
        engine = await self._models.embedding_engine(request.model)
        if len(texts) > MAX_EMBEDDED_TEXTS:
            raise bad_request(
                "Too many inputs in request, split into more batches.", kind="invalid_request_prompt", code="3210"
            )
        vectors, tokens = await asyncio.to_thread(engine.embed, texts)
        if request.output_dimension not in {None, len(vectors[0]) if vectors else None}:
            raise unprocessable(("output_dimension",), f"{request.model} has {len(vectors[0])} dimensions.")
        data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
        usage = Usage(prompt_tokens=tokens).body()
        return web.json_response(
            {"id": _new_id(), "object": "list", "model": request.model, "data": data, "usage": usage}
        )

    async def _label_choice(self, http: web.Request) -> web.StreamResponse:
        request = read_request(LabelChoiceRequest, await http.read())
        scores, tokens = await self._models.choose_label(request)
        return web.json_response(
            {
                "id": _new_id(),
                **({"labels": scores.labels} if isinstance(scores, SeveralLabelScores) else {"label": scores.label}),
                "probabilities": dict(scores.probabilities),
                "model": request.model,
                "usage": Usage(prompt_tokens=tokens).body(),
            }
        )

    async def _list_models(self, http: web.Request) -> web.StreamResponse:
        return web.json_response({"object": "list", "data": self._models.cards()})

    async def _one_model(self, http: web.Request) -> web.StreamResponse:
        name = http.match_info["name"]
        for card in self._models.cards():
            if card["id"] == name:
                return web.json_response(card)
        raise ApiProblem(
            404,
            {"object": "error", "message": f"No model matches {name}.", "type": "invalid_model", "code": "1500"},
        )

    async def _health(self, http: web.Request) -> web.StreamResponse:
        return web.json_response({"status": "ok"})

    async def _lease(self, http: web.Request) -> web.StreamResponse:
        """Keep a connection open for as long as the process at its other end lives; the server lives as long."""
        response = web.StreamResponse()
        await response.prepare(http)
        await response.write(run_files.lease_line(self._fingerprint))
        await asyncio.Event().wait()
        return response

    async def unneeded(self, *, linger_seconds: float, first_lease_seconds: float = FIRST_LEASE_SECONDS) -> None:
        """Return when no request, and a lease is one, has run for `linger_seconds`."""
        self._last_needed = time.monotonic() + first_lease_seconds - linger_seconds
        while True:
            now = time.monotonic()
            if self._running_requests:
                self._last_needed = now
            if now - self._last_needed >= linger_seconds:
                return
            await asyncio.sleep(min(0.25, max(0.05, linger_seconds)))


async def _respond(
    http: web.Request, choices: list[AsyncGenerator[Piece]], *, model: str, is_streamed: bool
) -> web.StreamResponse:
    """Answer with the choices, whole or as a stream of server-sent events."""
    head = {"id": _new_id(), "created": int(time.time()), "model": model}
    if is_streamed:
        return await _stream(http, choices, head)
    answers, usage = [], Usage()
    for index, pieces in enumerate(choices):
        text, calls, reason = "", [], "stop"
        async with aclosing(pieces):
            async for piece in pieces:
                text += piece.text
                calls += [dict(piece.tool_call)] if piece.tool_call else []
                reason = piece.finish_reason or reason
                usage = _sum_of_choices(usage, piece.usage)
        message: dict[str, Any] = {"role": "assistant", "content": text, "tool_calls": calls or None}
        answers.append({"index": index, "finish_reason": reason, "message": message})
    return web.json_response({**head, "object": "chat.completion", "choices": answers, "usage": usage.body()})


async def _stream(http: web.Request, choices: list[AsyncGenerator[Piece]], head: dict[str, Any]) -> web.StreamResponse:
    """Send each piece as it comes; the usage is on the last chunk, as the API has it."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    usage = Usage()
    try:
        for index, pieces in enumerate(choices):
            delta: dict[str, Any] = {"role": "assistant"}
            async with aclosing(pieces):
                async for piece in pieces:
                    if not response.prepared:  # only now: what is refused before the first piece has its own status
                        await response.prepare(http)
                    usage = _sum_of_choices(usage, piece.usage)
                    delta["content"] = piece.text
                    if piece.tool_call:
                        delta["tool_calls"] = [piece.tool_call]
                    choice = {"index": index, "delta": delta, "finish_reason": piece.finish_reason}
                    chunk = {**head, "object": "chat.completion.chunk", "choices": [choice]}
                    if piece.finish_reason and index == len(choices) - 1:
                        chunk["usage"] = usage.body()
                    await response.write(_event(chunk))
                    delta = {}
    except EngineRefused as problem:
        if not response.prepared:
            raise
        await response.write(_event(bad_request(str(problem)).body))
        return response
    await response.write(b"data: [DONE]\n\n")
    return response


def _event(body: Any) -> bytes:
    return b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n"


def _sum_of_choices(total: Usage, usage: Usage) -> Usage:
    """Add up the choices of one request, whose prompt is counted once."""
    return Usage(
        prompt_tokens=max(total.prompt_tokens, usage.prompt_tokens),
        completion_tokens=total.completion_tokens + usage.completion_tokens,
    )


def _answer_to(problem: ApiProblem) -> web.Response:
    return web.json_response(problem.body, status=problem.status)


def _new_id() -> str:
    return secrets.token_hex(16)


def serve(
    home: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8177,
    api_key: str | None = None,
    model: str | None = None,
    on_ready: Callable[[str, str], None] | None = None,
) -> None:
    """Serve the local models to any client of Mistral's API, until Ctrl-C.

    Parameters
    ----------
    home
        Its folder "weights" holds the models.
    host, port
        Where to listen; port 0 takes a free one.
    api_key
        What clients must send; a random one where None.
    model
        Model to load before the first request, by name or as the path of a GGUF file. No other file can be named.
    on_ready
        Called with address and key when the server answers.

    Raises
    ------
    EngineMissing
        llama.cpp is not installed.
    EmbeddedServerFailed
        The address is taken, or the model can't be loaded.
    """
    try:
        import_engine()
    except ImportError as error:
        raise run_files.engine_missing(error) from None
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve_until_cancelled(home, host, port, api_key or secrets.token_urlsafe(24), model, on_ready))


async def _serve_until_cancelled(
    home: Path, host: str, port: int, api_key: str, model: str | None, on_ready: Callable[[str, str], None] | None
) -> None:
    path = Path(model) if model and model.lower().endswith(".gguf") else Path()
    models = LoadedModels(home, only_path=path)
    runner = _runner(EmbeddedApi(models, api_key=api_key))
    try:
        if model:
            await models.chat_engine(model)
        bound_port = await _listen(runner, host, port)
        if on_ready:
            on_ready(f"http://{host}:{bound_port}", api_key)
        await asyncio.Event().wait()
    except ApiProblem as problem:
        raise EmbeddedServerFailed(
            str(problem.body["message"]),
            "Name a model that is there, or download it: mistral-nb download-model local-small",
        ) from None
    except OSError as error:
        raise EmbeddedServerFailed(
            f"The server can't listen at {host}:{port}: {error.strerror or error}.",
            "Choose another port, e.g.: mistral-nb serve --port 0",
        ) from None
    finally:
        await runner.cleanup()
        await models.close()


def main(arguments: list[str] | None = None) -> int:
    """Run the server that the processes of a user share, until none of them is left; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m mistral_nb.backends.embedded.server")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--fingerprint", required=True)
    parser.add_argument("--linger-seconds", type=float, default=LINGER_SECONDS)
    options = parser.parse_args(arguments)
    import_engine()
    asyncio.run(_serve_while_needed(options.home, options.fingerprint, options.linger_seconds))
    return 0


async def _serve_while_needed(home: Path, fingerprint: str, linger_seconds: float) -> None:
    models = LoadedModels(home)
    key = secrets.token_urlsafe(32)
    api = EmbeddedApi(models, api_key=key, fingerprint=fingerprint)
    runner = _runner(api)
    try:
        port = await _listen(runner, "127.0.0.1", 0)
        state = run_files.ServerState(url=f"http://127.0.0.1:{port}", key=key, pid=os.getpid())
        run_files.write_state(home, fingerprint, state)
        asked_to_end = asyncio.Event()
        with contextlib.suppress(NotImplementedError):  # Windows ends a process without asking it
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked_to_end.set)
        waits = [
            asyncio.create_task(api.unneeded(linger_seconds=linger_seconds)),
            asyncio.create_task(asked_to_end.wait()),
        ]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
    finally:
        for site in list(runner.sites):
            await site.stop()
        run_files.remove_state(home, fingerprint, pid=os.getpid())
        await runner.cleanup()
        await models.close()


def _runner(api: EmbeddedApi) -> web.AppRunner:
    # Cancelling the handler is what ends a generation whose client has left.
    return web.AppRunner(api.application(), handler_cancellation=True, access_log=None, shutdown_timeout=1.0)


async def _listen(runner: web.AppRunner, host: str, port: int) -> int:
    """Start to listen, and return the port."""
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return int(runner.addresses[0][1])


if __name__ == "__main__":
    sys.exit(main())

"""A backend whose texts and answers pass the moderation model first, whatever door they are for.

Keeps to itself: which texts of a request are new, and what a withheld answer leaves behind.
Promises: with "input" nothing that is refused is sent, with "output" nothing that is refused is shown or kept. Where the moderation
model can't be asked, nothing passes. What a refused answer used is in the exception, so that it is on the bill.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from mistral_nb.backends.backend import Backend
from mistral_nb.completion import (
    Completion,
    CompletionRequest,
    Delta,
    Embeddings,
    InputsAnswer,
    InputsRequest,
    ModelCard,
    Moderation,
)
from mistral_nb.errors import MistralNotebookError, Refused
from mistral_nb.moderation_policy import ModerationPolicy

if TYPE_CHECKING:
    from mistral_nb.backends.batch_api import BatchApi

WITHHELD = "moderated"  # the finish_reason of an answer that was not shown

Judge = Callable[[Sequence[str]], Awaitable[Sequence[Moderation]]]


class ModeratedBackend:
    """The same backend, with the moderation model before and after it.

    Parameters
    ----------
    inner
        Who answers.
    policy
        What is moderated, and how strictly.
    judge
        Asks the moderation model of several texts.
    """

    # One at a time, so that each text is judged by itself, and refused by itself.
    packs_rows = False

    def __init__(self, inner: Backend, policy: ModerationPolicy, judge: Judge) -> None:
        self._inner = inner
        self._policy = policy
        self._judge = judge

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def endpoint(self) -> str:
        """Another one than the inner backend's: an answer that was kept without moderation is not taken for a moderated one."""
        return f"{self._inner.endpoint} moderated {self._policy}"

    @property
    def max_concurrency(self) -> int | None:
        return self._inner.max_concurrency

    @property
    def batch(self) -> "BatchApi | None":
        """For jobs that were sent before: the session sends none while there is moderation."""
        return self._inner.batch

    def answering_model(self, model: str) -> str:
        return self._inner.answering_model(model)

    async def complete(self, request: CompletionRequest) -> Completion:
        await self._check_input(new_texts(request))
        return await self._checked(await self._inner.complete(request))

    async def complete_row(self, request: CompletionRequest) -> Completion:
        await self._check_input(new_texts(request))
        return await self._checked(await self._inner.complete_row(request))

    async def fill_in_middle(
        self, prompt: str, suffix: str, *, model: str, temperature: float | None = None, max_tokens: int | None = None
    ) -> Completion:
        await self._check_input(_not_blank((prompt, suffix)))
        filling = await self._inner.fill_in_middle(
            prompt, suffix, model=model, temperature=temperature, max_tokens=max_tokens
        )
        return await self._checked(filling)

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Delta]:
        """Yield the answer piece by piece; where answers are moderated, when all of it has come and passed."""
        await self._check_input(new_texts(request))
        held: list[Delta] = []
        whole = Completion(text="", model=request.model, finish_reason="")
        async with aclosing(self._inner.stream(request)) as pieces:
            async for piece in pieces:
                if not self._policy.covers("output"):
                    yield piece
                    continue
                held.append(piece)
                whole = whole.extended_by(piece)
        await self._checked(whole)
        for piece in held:
            yield piece

    async def answer_inputs(self, request: InputsRequest) -> InputsAnswer:
        if request.endpoint == "embeddings":
            await self._check_input(_not_blank(request.inputs))
        return await self._inner.answer_inputs(request)

    async def embed(self, texts: Sequence[str], *, model: str) -> Embeddings:
        await self._check_input(_not_blank(texts))
        return await self._inner.embed(texts, model=model)

    async def moderate(self, texts: Sequence[str], *, model: str) -> list[Moderation]:
        return await self._inner.moderate(texts, model=model)

    async def models(self) -> list[ModelCard]:
        return await self._inner.models()

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _check_input(self, texts: Sequence[str]) -> None:
        if self._policy.covers("input") and (violations := await self._violations(texts)):
            raise _refused("The moderation model objects to the text, so it was not sent", violations)

    async def _checked(self, answer: Completion) -> Completion:
        """Return the answer if it passes."""
        if self._policy.covers("output"):
            arguments = (call.arguments for call in answer.tool_calls)
            texts = _not_blank((answer.text, answer.thinking, *arguments))
            withheld = replace(answer, text="", thinking="", tool_calls=(), finish_reason=WITHHELD)
            if violations := await self._violations(texts, withheld=withheld):
                problem = "The moderation model objects to the answer, so it is withheld"
                raise _refused(problem, violations, withheld=withheld)
        return answer

    async def _violations(self, texts: Sequence[str], *, withheld: Completion | None = None) -> dict[str, float]:
        """Return the highest score of each category that one of the texts violates."""
        found: dict[str, float] = {}
        for judged in await self._verdicts(texts, withheld=withheld) if texts else ():
            for category, score in self._policy.violations(judged).items():
                found[category] = max(score, found.get(category, 0.0))
        return found

    async def _verdicts(self, texts: Sequence[str], *, withheld: Completion | None) -> Sequence[Moderation]:
        try:
            return await self._judge(texts)
        except MistralNotebookError as error:
            error.problem = f"The moderation model could not be asked, so nothing passes: {error.problem}"
            error.remedy = f"{error.remedy} To go on without it: mistral_nb.configure(moderate='')"
            if error.stops_run:
                raise
            # Not as it is: it would be tried again together with the answer, which would be paid for twice.
            raise Refused(error.problem, error.remedy, withheld=withheld) from None


def new_texts(request: CompletionRequest) -> list[str]:
    """Return the texts of users and tools since the last answer: those before it were moderated when they were new."""
    fresh: list[str] = []
    for message, text in zip(request.messages, request.texts, strict=True):
        if message.get("role") == "assistant" and not message.get("prefix"):
            fresh.clear()
        elif message.get("role") in {"user", "tool"} and text.strip():
            fresh.append(text)
    return fresh


def _not_blank(texts: Iterable[str]) -> list[str]:
    return [text for text in texts if text.strip()]


def _refused(problem: str, violations: dict[str, float], *, withheld: Completion | None = None) -> Refused:
    listed = ", ".join(f"{category} {score:.2f}" for category, score in violations.items())
    looser = ", ".join(f'"{category}": {min(1.0, score + 0.01):.2f}' for category, score in violations.items())
    return Refused(
        f"{problem}: {listed}.",
        f"Change the text. If such texts are to pass: mistral_nb.configure(moderation_thresholds={{{looser}}})",
        categories=tuple(violations),
        scores=violations,
        withheld=withheld,
    )

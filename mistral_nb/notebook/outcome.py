"""What has come of a question so far, whole or not.

Promises: an answer that broke off keeps its text, is marked as such, and has its tokens estimated where the API did not tell them.
"""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from mistral_nb.completion import Completion, CompletionRequest, JsonObject, TokenUsage
from mistral_nb.engine.session import Session
from mistral_nb.engine.tokens import estimated_tokens
from mistral_nb.notebook.footer import INTERRUPTED, Bill


class Outcome:
    """What has come of a question so far.

    Attributes
    ----------
    answer
        The completion; with tools, that of the round under way.
    value
        What the reader keeps: the completion, the object, or the answer of a conversation with tools.
    said
        What goes into the conversation beside the question; empty where it is the answer's text.
    cost_usd
        Where it is known already; otherwise the session knows the price.
    requests, usage_before, is_estimated
        How many requests it took, the tokens of all but the last, and whether tokens are estimates.
    shown_as
        Markdown that is shown in place of the text; None for the text itself.
    """

    def __init__(self, answer: Completion) -> None:
        self.answer = answer
        self.value: Any = answer
        self.said: tuple[JsonObject, ...] = ()
        self.cost_usd: Decimal | None = None
        self.requests = 1
        self.usage_before = TokenUsage()
        self.is_estimated = False
        self.shown_as: str | None = None

    @property
    def shown_text(self) -> str:
        return self.answer.text if self.shown_as is None else self.shown_as

    def bill(self, session: Session) -> Bill:
        if self.cost_usd is None:
            self.cost_usd = session.cost_usd(self.answer.model, self.answer.usage)
        return Bill(cost_usd=self.cost_usd, is_estimated=self.is_estimated, requests=self.requests)

    def next_round(self, blank: Completion) -> None:
        """Begin the answer that follows the results of tools."""
        self.usage_before += self.answer.usage
        self.answer = blank
        self.requests += 1

    def whole(self, request: CompletionRequest) -> None:
        """Note that the answer has come to its end."""
        if not self.answer.usage.total_tokens:  # some servers do not say it of a stream
            self._estimate(request)
        self.value = self.answer

    def broke_off(self, request: CompletionRequest | None) -> None:
        """Note that nothing more comes; the tokens of what has come are estimated, since the API tells them at the end.

        A call that the model asked for has come, too: its round was paid for.
        """
        if not (self.answer.text or self.answer.thinking or self.answer.finish_reason):
            return
        if request is not None and not self.answer.usage.total_tokens:
            self._estimate(request)
        usage = self.usage_before + self.answer.usage
        self.answer = replace(self.answer, finish_reason=INTERRUPTED, usage=usage)
        self.value = self.answer

    def _estimate(self, request: CompletionRequest) -> None:
        self.answer = replace(self.answer, usage=estimated_usage(request, self.answer))
        self.is_estimated = True


def estimated_usage(request: CompletionRequest, answer: Completion) -> TokenUsage:
    """Return about how many tokens an answer took, so far as it has come."""
    return TokenUsage(
        prompt_tokens=sum(map(estimated_tokens, request.texts)),
        completion_tokens=estimated_tokens(answer.text) + estimated_tokens(answer.thinking),
    )

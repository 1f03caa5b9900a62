"""How a turn is answered: what is sent along, what comes, and how it ends.

Keeps to itself: which of the older turns are sent, and how an end of any kind is put down.
Promises: nothing escapes but into the turn itself, marked with what happened; what had come is kept.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mistral_nb.completion import Completion, CompletionRequest, Delta
from mistral_nb.engine.background_loop import Stopped, meanwhile
from mistral_nb.engine.budgets import MOST_ANSWER_TOKENS
from mistral_nb.engine.occasion import asked_through
from mistral_nb.engine.session import Session
from mistral_nb.errors import MistralNotebookError, PromptTooLong
from mistral_nb.notebook.chat.images import refuse_blind_model
from mistral_nb.notebook.chat.log import ChatLog
from mistral_nb.notebook.chat.purse import Purse
from mistral_nb.notebook.chat.turns import CallPart, CallState, ChatTurn, TurnState
from mistral_nb.notebook.context_window import exchanges_that_fit
from mistral_nb.notebook.conversations import Exchange
from mistral_nb.notebook.following import follow
from mistral_nb.notebook.footer import footer_text, why_incomplete
from mistral_nb.notebook.outcome import Outcome
from mistral_nb.tools.confirm import Confirm
from mistral_nb.tools.function_tool import Tool
from mistral_nb.tools.records import Call, ToolStep

_UNFINISHED: set[CallState] = {"asking", "running"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How answers are drawn: the options of every request of a panel."""

    temperature: float | None = None
    max_tokens: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


class Answering:
    """One turn, from its question to its end; told of what comes as `follow`'s watcher."""

    def __init__(
        self,
        turn: ChatTurn,
        *,
        session: Session,
        log: ChatLog,
        purse: Purse,
        system: str | None,
        sampling: Sampling,
        tools: Sequence[Tool],
        confirm: Confirm,
    ) -> None:
        self._turn = turn
        self._session = session
        self._log = log
        self._purse = purse
        self._system = system
        self._sampling = sampling
        self._tools = tools
        self._confirm = confirm
        self._steps: list[ToolStep] = []
        self._left_out = 0
        self._request: CompletionRequest | None = None
        self._outcome = Outcome(Completion(text="", model=turn.model, finish_reason=""))

    def run(self) -> None:
        """Answer; returns when the turn has its end."""
        self._change(lambda turn: replace(turn, state="running"))
        try:
            with asked_through("panel", verb="chat"), meanwhile(self._log.flush):
                self._follow()
        except Stopped:
            self._end("stopped")
        except MistralNotebookError as error:
            self._end("failed", error)
        except Exception as error:  # noqa: BLE001  # there is no cell to fail: what nobody foresaw must not be lost
            unforeseen = MistralNotebookError(f"{type(error).__name__}: {error}", "Ask again; if it stays, report it.")
            unforeseen.__cause__ = error
            self._end("failed", unforeseen)
        else:
            self._end("done")

    def grew(self, delta: Delta, outcome: Outcome) -> None:
        self._log.grow(self._turn.id, "thinking", delta.thinking)
        self._log.grow(self._turn.id, "text", delta.text)
        self._log.flush()

    def call_started(self, call: Call) -> None:
        self._change(lambda turn: turn.with_call(CallPart.of(call, state="running")))

    def call_finished(self, step: ToolStep) -> None:
        self._steps.append(step)
        self._change(lambda turn: turn.with_call(CallPart.of_step(step)))

    def _follow(self) -> None:
        earlier = self._earlier()
        if any(turn.images for turn in (*earlier, self._turn)):
            refuse_blind_model(self._turn.model, self._session)
        for request in self._attempts([exchange for turn in earlier if (exchange := turn.exchange()) is not None]):
            self._request = request
            try:
                follow(
                    request,
                    session=self._session,
                    outcome=self._outcome,
                    watcher=self,
                    tools=self._tools,
                    confirm=self._asked,
                    stream=lambda asked: self._purse.stream(asked, self._session),
                )
                return
            except PromptTooLong:  # the window of other people's models is not known beforehand
                if len(request.messages) <= 2 or self._outcome.answer.text:
                    raise

    def _earlier(self) -> list[ChatTurn]:
        return [turn for turn in self._log.turns if turn.id < self._turn.id]

    def _attempts(self, exchanges: Sequence[Exchange]) -> Iterator[CompletionRequest]:
        """Yield what to send, each time with half of the turns, for a model that says the prompt is too long."""
        question = self._request_of([])
        bare = replace(question, tools=tuple(tool.definition() for tool in self._tools))
        kept = exchanges_that_fit(exchanges, bare, self._session)
        while True:
            self._left_out = len(exchanges) - len(kept)
            yield self._request_of(kept)
            if not any(not exchange.is_pinned for exchange in kept):
                return
            kept = _without_the_older_half(kept)

    def _request_of(self, exchanges: Sequence[Exchange]) -> CompletionRequest:
        sampling, turn = self._sampling, self._turn
        max_tokens = sampling.max_tokens
        if max_tokens is None and self._purse.limit_usd is not None:
            max_tokens = MOST_ANSWER_TOKENS  # without one, the most that an answer can cost is not known
        return self._session.request(
            [*(message for exchange in exchanges for message in exchange.messages), turn.question_message],
            model=turn.model,
            system=self._system,
            temperature=sampling.temperature,
            max_tokens=max_tokens,
            **sampling.options,
        )

    def _asked(self, call: Call) -> bool | str:
        """Have a person asked, and show that."""
        self._change(lambda turn: turn.with_call(CallPart.of(call, state="asking")))
        answer = self._confirm(call)
        self._change(lambda turn: turn.with_call(CallPart.of(call, state="running")))
        return answer

    def _end(self, state: TurnState, error: MistralNotebookError | None = None) -> None:
        outcome = self._outcome
        if state != "done":
            outcome.broke_off(self._request)
        answer = outcome.answer
        has_come = bool(answer.finish_reason)
        bill = outcome.bill(self._session)
        note = why_incomplete(answer, limit_option="max_tokens=") if has_come and state != "failed" else ""
        self._change(
            lambda turn: replace(
                turn,
                state=state,
                parts=tuple(_closed(part) if isinstance(part, CallPart) else part for part in turn.parts),
                completion=answer if has_come else None,
                steps=tuple(self._steps),
                cost_usd=bill.cost_usd if has_come else None,
                footer=footer_text(answer, bill) if has_come else "",
                note=note,
                error=error,
                left_out=self._left_out,
                said=outcome.said if state == "done" else (),
            )
        )

    def _change(self, update: Callable[[ChatTurn], ChatTurn]) -> None:
        self._log.change(self._turn.id, update)


def _closed(call: CallPart) -> CallPart:
    return replace(call, state="stopped") if call.state in _UNFINISHED else call


def _without_the_older_half(exchanges: Sequence[Exchange]) -> list[Exchange]:
    loose = [at for at, exchange in enumerate(exchanges) if not exchange.is_pinned]
    dropped = set(loose[: (len(loose) + 1) // 2])
    return [exchange for at, exchange in enumerate(exchanges) if at not in dropped]

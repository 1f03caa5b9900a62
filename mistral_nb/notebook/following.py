"""An answer while it comes, with or without tools, for a door that shows it.

Keeps to itself: how the rounds of a conversation with tools become one outcome.
Promises: the outcome is right at every moment, so that whatever ends the following (an interrupt, an error) finds what has come.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, Protocol

from mistral_nb.completion import CompletionRequest, Delta
from mistral_nb.engine.session import Session
from mistral_nb.notebook.outcome import Outcome
from mistral_nb.tools.confirm import Confirm, ask_person
from mistral_nb.tools.conversation import Stream, stream_with_tools
from mistral_nb.tools.records import AnswerPiece, Call, CallFinished, CallStarted, Finished, ToolAnswer, ToolStep


class Watcher(Protocol):
    """Who is told of what comes."""

    def grew(self, delta: Delta, outcome: Outcome) -> None:
        """The answer has grown; the outcome has the piece already."""

    def call_started(self, call: Call) -> None:
        """The model asked for a call."""

    def call_finished(self, step: ToolStep) -> None:
        """A call came to its end, whichever."""


def follow(
    request: CompletionRequest,
    *,
    session: Session,
    outcome: Outcome,
    watcher: Watcher,
    tools: Sequence[Any] = (),
    confirm: Confirm = ask_person,
    stream: Stream | None = None,
) -> None:
    """Ask, and note and tell what comes until the answer is whole.

    Parameters
    ----------
    request
        Messages, model and sampling; without the tools' definitions.
    outcome
        Where it is noted; new, with a blank answer.
    tools, confirm, stream
        As in `stream_with_tools`.
    """
    if tools:
        _follow_tools(request, tools, session, outcome, watcher, confirm, stream)
        return
    with closing((stream or session.stream)(request)) as pieces:
        for delta in pieces:
            outcome.answer = outcome.answer.extended_by(delta)
            watcher.grew(delta, outcome)
    outcome.whole(request)


def _follow_tools(
    request: CompletionRequest,
    tools: Sequence[Any],
    session: Session,
    outcome: Outcome,
    watcher: Watcher,
    confirm: Confirm,
    stream: Stream | None,
) -> None:
    events = stream_with_tools(
        list(request.messages),
        tools,
        model=request.model,
        temperature=request.temperature,
        max_tokens=request.max_tokens,
        confirm=confirm,
        session=session,
        stream=stream,
        **request.options,
    )
    blank = outcome.answer
    with closing(events):
        for event in events:
            match event:
                case AnswerPiece(delta=delta, round=number):
                    if number != outcome.requests:
                        outcome.next_round(blank)
                    outcome.answer = outcome.answer.extended_by(delta)
                    watcher.grew(delta, outcome)
                case CallStarted(call=call):
                    watcher.call_started(call)
                case CallFinished(step=step):
                    watcher.call_finished(step)
                case Finished(answer=answer):
                    _note_end(answer, request, outcome)


def _note_end(result: ToolAnswer, request: CompletionRequest, outcome: Outcome) -> None:
    outcome.said = tuple(result.messages[len(request.messages) :])
    outcome.cost_usd = result.cost_usd
    outcome.requests = result.rounds
    outcome.whole(request)
    seconds = sum(completion.latency_seconds for completion in result.completions)
    outcome.answer = replace(outcome.answer, usage=result.usage, latency_seconds=seconds)
    outcome.value = result

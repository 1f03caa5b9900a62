"""A conversation in which the model may call functions.

Keeps to itself: the rounds. One round is one request, and the calls that its answer asks for.
Promises: whatever a call comes to (an exception, an unknown tool, arguments that do not fit, a denial), the model is told and the
conversation goes on; calls of a round run at the same time and go back in the order in which they were asked for; the number of
rounds is bounded; leaving early (an interrupt) ends the waiting, and nothing more is sent.
"""

import json
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from typing import Any

from mistral_nb.completion import Completion, CompletionRequest, Delta, JsonObject
from mistral_nb.engine.background_loop import Stopped
from mistral_nb.engine.chat_request import Messages, shortened
from mistral_nb.engine.current import current_session
from mistral_nb.engine.occasion import asked_through
from mistral_nb.engine.session import Session
from mistral_nb.engine.tokens import most_tokens
from mistral_nb.errors import InvalidAnswer, InvalidOption
from mistral_nb.refusal import check_answered
from mistral_nb.tools.call_messages import (
    assistant_message,
    joined_messages,
    sound_calls,
    tool_choice_field,
    tool_message,
)
from mistral_nb.tools.calling import Calls, run_together
from mistral_nb.tools.confirm import Confirm, ask_person
from mistral_nb.tools.function_tool import DEFAULT_MAX_RESULT_TOKENS, Tool, tools_by_name
from mistral_nb.tools.records import (
    AnswerPiece,
    Call,
    CallFinished,
    CallStarted,
    Finished,
    ToolAnswer,
    ToolEvent,
    ToolStep,
)
from mistral_nb.tools.result_text import cut_to_tokens, result_text

DEFAULT_MAX_ROUNDS = 8

Stream = Callable[[CompletionRequest], Generator[Delta]]

_DENIED = "The person whose notebook this is did not allow the call."


def chat_with_tools(
    prompt: Messages,
    tools: Any,
    *,
    model: str | None = None,
    system: str | None = None,
    tool_choice: Any = "auto",
    max_rounds: int = DEFAULT_MAX_ROUNDS,
    messages: Sequence[JsonObject] = (),
    confirm: Confirm = ask_person,
    on_event: Callable[[ToolEvent], object] | None = None,
    session: Session | None = None,
    **options: Any,
) -> ToolAnswer:
    """Return the answer of a model that may call functions.

    Parameters
    ----------
    prompt
        A text, or chat messages as the API takes them.
    tools
        Functions, decorated with `mistral_nb.tool` or not, and kits such as `mistral_nb.frame_tools(df)`. Plain functions run in
        threads, async ones on an event loop that they share; those that the model asks for together run together.
    model, system
        As in `Session.complete`; with `messages`, `system` takes the place of the system message these began with.
    tool_choice
        "auto", "none", "any" or "required" (the same), or a tool or its name: what the model must do in the first round; from the
        second on it is free.
    max_rounds
        Rounds in which the model may call. After them it is asked for its answer with ``tool_choice="none"``, and
        `reached_max_rounds` says so.
    messages
        The conversation so far, e.g. ``answer.messages``.
    confirm
        Who is asked before a tool with ``confirm=True`` is called: a function of the `Call`. True allows it, anything else denies
        it; a text is the reason that the model is given. Default: a prompt, where there is somebody to ask.
    on_event
        Called with every event as it comes, see `stream_with_tools`.
    session
        Default: the one that all doors share.
    **options
        Further fields of the API's request, e.g. ``temperature=0``, ``parallel_tool_calls=False``.

    Raises
    ------
    InvalidOption
        A tool, `tool_choice` or `max_rounds` is none.
    EmptyPrompt
        There is nothing to ask.
    Refused
        The model ended its answer as the API does not document; what had come of it is in `withheld`.
    MistralNotebookError
        A request failed; one subclass per cause. What a function raises goes to the model instead, and is in ``steps``.

    Examples
    --------
    >>> import mistral_nb
    >>> @mistral_nb.tool
    ... def lookup_owner(id: str) -> str:
    ...     '''Return the account owner.'''
    ...     return {"42": "Ada Lovelace"}.get(id, "nobody")
    >>> answer = mistral_nb.chat_with_tools("Who owns account 42?", tools=[lookup_owner], tool_choice="any")
    >>> answer.steps[0].name
    'lookup_owner'
    """
    events = stream_with_tools(
        prompt,
        tools,
        model=model,
        system=system,
        tool_choice=tool_choice,
        max_rounds=max_rounds,
        messages=messages,
        confirm=confirm,
        session=session,
        **options,
    )
    with closing(events):
        for event in events:
            if on_event is not None:
                on_event(event)
    assert isinstance(event, Finished)  # the last one always is
    check_answered(event.answer.completions[-1])
    return event.answer


def stream_with_tools(
    prompt: Messages,
    tools: Any,
    *,
    model: str | None = None,
    system: str | None = None,
    tool_choice: Any = "auto",
    max_rounds: int = DEFAULT_MAX_ROUNDS,
    messages: Sequence[JsonObject] = (),
    confirm: Confirm = ask_person,
    session: Session | None = None,
    stream: Stream | None = None,
    **options: Any,
) -> Generator[ToolEvent]:
    """Yield what happens, as it happens; parameters and errors as in `chat_with_tools`.

    `stream` sends each request in place of the session's own method, e.g. to hold money for it first.

    Per round: `AnswerPiece` for each piece of what the model says, then `CallStarted` for each call and `CallFinished` as each is
    done. Last of all `Finished`, with the answer. Leaving the loop early ends the waiting, cancels async functions and closes the
    connection.
    """
    if isinstance(max_rounds, bool) or not isinstance(max_rounds, int) or max_rounds < 1:
        raise InvalidOption(
            f"max_rounds is {shortened(max_rounds)}.", "Give a whole number from 1 up, e.g. max_rounds=8."
        )
    by_name = tools_by_name(tools)
    session = session or current_session()
    request = session.request(
        prompt,
        model=model,
        tools=[tool.definition() for tool in by_name.values()],
        tool_choice=tool_choice_field(tool_choice, by_name),
        **options,
    )
    request = replace(request, messages=joined_messages(messages, request.messages, system=system))
    return _Conversation(
        session, request, tools=by_name, max_rounds=max_rounds, confirm=confirm, stream=stream or session.stream
    ).events()


@dataclass(frozen=True, slots=True)
class _Job:
    """A call that may be made, with its place among the calls of its round."""

    call: Call
    tool: Tool
    arguments: dict[str, Any]


class _Conversation:
    """One conversation, from its first request to its answer."""

    def __init__(
        self,
        session: Session,
        request: CompletionRequest,
        *,
        tools: dict[str, Tool],
        max_rounds: int,
        confirm: Confirm,
        stream: Stream,
    ) -> None:
        self._session = session
        self._stream = stream
        self._first_request = request
        self._tools = tools
        self._max_rounds = max_rounds
        self._confirm = confirm
        self._messages = list(request.messages)
        self._steps: list[ToolStep] = []
        self._completions: list[Completion] = []

    def events(self) -> Generator[ToolEvent]:
        while True:
            number = len(self._completions) + 1
            may_call = number <= self._max_rounds and self._first_request.tool_choice != "none"
            completion = yield from self._ask(number)
            self._completions.append(completion)
            if not completion.tool_calls or not may_call:
                break
            calls = sound_calls(completion.tool_calls, round_number=number)
            self._messages.append(assistant_message(completion, calls))
            steps = yield from self._carry_out(calls)
            self._steps += steps
            self._messages += [tool_message(step.id, step.result) for step in steps]
        self._messages.append(assistant_message(completion))
        yield Finished(answer=self._answer(completion, reached_max_rounds=number > self._max_rounds))

    def _answer(self, last: Completion, *, reached_max_rounds: bool) -> ToolAnswer:
        model = self._first_request.model
        costs = [self._session.cost_usd(model, completion.usage) for completion in self._completions]
        known = [cost for cost in costs if cost is not None]
        return ToolAnswer(
            text=last.text,
            steps=tuple(self._steps),
            messages=tuple(self._messages),
            completions=tuple(self._completions),
            cost_usd=sum(known, Decimal(0)) if len(known) == len(costs) else None,
            reached_max_rounds=reached_max_rounds,
        )

    def _ask(self, number: int) -> Generator[ToolEvent, None, Completion]:
        """Send the conversation so far, and return the model's answer."""
        choice = self._first_request.tool_choice
        if number > self._max_rounds:
            choice = "none"
        elif number > 1:
            choice = None  # a call that stays demanded would be made for ever
        request = replace(self._first_request, messages=tuple(self._messages), tool_choice=choice)
        completion = Completion(text="", model=request.model, finish_reason="")
        with asked_through("tools", verb="chat_with_tools"):
            stream = self._stream(request)
        with closing(stream) as pieces:
            for delta in pieces:
                completion = completion.extended_by(delta)
                yield AnswerPiece(delta=delta, round=number)
        return completion

    def _carry_out(self, calls: Sequence[Call]) -> Generator[ToolEvent, None, list[ToolStep]]:
        """Make the calls that can and may be made, and return all steps in the order of the calls."""
        for call in calls:
            yield CallStarted(call=call)
        steps: dict[str, ToolStep] = {}
        jobs: list[_Job] = []
        for call in calls:
            job = self._job(call)
            if isinstance(job, _Job):
                jobs.append(job)
            else:
                steps[call.id] = job
                yield CallFinished(step=job)
        made = run_together([lambda running, job=job: self._made(job, running) for job in jobs])  # type: ignore[misc]
        with closing(made):
            for step in made:
                steps[step.id] = step
                yield CallFinished(step=step)
        return [steps[call.id] for call in calls]

    def _job(self, call: Call) -> _Job | ToolStep:
        """Return what is to be done for a call, or what came of it where nothing is to be done."""
        tool = self._tools.get(call.name)
        if tool is None:
            names = ", ".join(self._tools)
            return self._failed(call, f"There is no tool {shortened(call.name)}. There are: {names}.")
        if isinstance(call.arguments, str):
            return self._failed(call, f"The arguments are no JSON object: {shortened(call.arguments)}")
        try:
            arguments = tool.accepts.read(json.dumps(call.arguments))
        except InvalidAnswer as error:
            return self._failed(call, f"Invalid arguments: {error.problem}", exception=error)
        if tool.needs_confirmation:
            allowed = self._confirm(call)
            if allowed is not True:
                reason = allowed if isinstance(allowed, str) and allowed else _DENIED
                return self._failed(call, f"Denied: {reason}", was_denied=True)
        return _Job(call, tool, arguments)

    def _made(self, job: _Job, running: Calls) -> ToolStep:
        """Call the function, in its own thread, and return what came of it."""
        call, started = job.call, time.perf_counter()
        try:
            value = running.result(job.tool.function, job.arguments)
            seconds = time.perf_counter() - started
            text = result_text(value)
        except Stopped:
            raise
        except BaseException as error:  # noqa: BLE001  # even sys.exit() in a tool is the model's to know, not the thread's end
            said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            return self._failed(
                call,
                said,
                exception=error,
                seconds=time.perf_counter() - started,
                max_tokens=job.tool.max_result_tokens,
            )
        return ToolStep(
            id=call.id,
            name=call.name,
            arguments=call.arguments,
            result=self._cut(text, job.tool.max_result_tokens),
            value=value,
            seconds=seconds,
            round=call.round,
        )

    def _failed(
        self, call: Call, said: str, *, max_tokens: int = DEFAULT_MAX_RESULT_TOKENS, **further: Any
    ) -> ToolStep:
        """Return the step of a call that came to nothing, and what the model is told of it."""
        return ToolStep(
            id=call.id,
            name=call.name,
            arguments=call.arguments,
            result=self._cut(result_text(f"Error: {said}"), max_tokens),
            error=said,
            round=call.round,
            **further,
        )

    def _cut(self, text: str, max_tokens: int) -> str:
        if most_tokens(text) <= max_tokens:  # then the tokenizer, which takes a second to load, is not needed
            return text
        return cut_to_tokens(text, max_tokens=max_tokens, count=self._count)

    @cached_property
    def _count(self) -> Callable[[str], int]:
        return self._session.token_counter(self._first_request.model).text_tokens

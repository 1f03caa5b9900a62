"""One question, made ready and asked.

Keeps to itself: the three ways to an answer (streamed, with tools, as an object).
Promises: what `told` returns is what is sent; what can't be meant is said before anything is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mistral_nb.completion import CompletionRequest, Delta, JsonObject
from mistral_nb.engine.background_loop import meanwhile
from mistral_nb.engine.session import Session
from mistral_nb.notebook.context_window import exchanges_that_fit
from mistral_nb.notebook.conversations import Conversation, SentTurns
from mistral_nb.notebook.magic import notebook_names
from mistral_nb.notebook.magic.answer_view import AnswerView
from mistral_nb.notebook.magic.options import AskOptions, found
from mistral_nb.notebook.outcome import Outcome

if TYPE_CHECKING:
    from mistral_nb.tools.records import Call, ToolStep

_CODE_SYSTEM = "Answer with Python code for a notebook cell, in one fenced code block."


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A question that is ready to be sent, and the turns that go along with it."""

    request: CompletionRequest
    question: JsonObject
    turns: SentTurns | None


class Question:
    """One question, its options, and the session that is asked."""

    def __init__(self, session: Session, text: str, options: AskOptions, variables: Mapping[str, Any]) -> None:
        self.session = session
        self.options = options
        self._text = text
        self._schema: Any = None
        self._tools: list[Any] = []
        self._api_options: JsonObject = {"safe_prompt": True} if options.safe_prompt else {}
        if options.guardrails is not None:
            known = notebook_names.guardrails(variables)
            self._api_options["guardrails"] = list(
                found(options.guardrails, known, option="--guardrails", kind="list of dicts")
            )
        if options.json is not None:
            from mistral_nb.answer_schema import answer_schema

            self._schema = answer_schema(notebook_names.schema(options.json, variables))
        if options.tools:
            known = notebook_names.tools(variables)
            self._tools = [
                notebook_names.as_tools(found(name, known, option="--tools", kind="function"), name=name)
                for name in options.tools
            ]

    def system(self, conversation: Conversation | None) -> str | None:
        """Return the system message: the one given, or the conversation's; with a word on code where that is wanted."""
        given = self.options.system or (conversation.system if conversation else None)
        if self.options.form != "code":
            return given
        return f"{given}\n\n{_CODE_SYSTEM}" if given else _CODE_SYSTEM

    @property
    def model(self) -> str:
        """The name of the model that is asked."""
        return self.session.model_name(self.options.model)

    def told(self, conversation: Conversation | None, *, most_turns: int | None = None) -> Told:
        """Return the request, with as many of the latest turns as fit and at most `most_turns`."""
        question: JsonObject = {"role": "user", "content": self._text}
        if conversation is None:
            return Told(request=self._request([question], None), question=question, turns=None)
        exchanges = conversation.exchanges
        latest = exchanges if most_turns is None else exchanges[len(exchanges) - most_turns :]
        bare = self.with_form(self._request([question], conversation))
        kept = exchanges_that_fit(latest, bare, self.session)
        messages = [message for exchange in kept for message in exchange.messages]
        turns = SentTurns(name=conversation.name, sent=len(kept), left_out=len(exchanges) - len(kept))
        return Told(request=self._request([*messages, question], conversation), question=question, turns=turns)

    def attempts(self, conversation: Conversation | None) -> Iterator[Told]:
        """Yield what to send, each time with half of the turns, for a model that says the prompt is too long."""
        told = self.told(conversation)
        yield told
        while told.turns is not None and told.turns.sent:
            told = self.told(conversation, most_turns=told.turns.sent // 2)
            yield told

    def with_form(self, request: CompletionRequest) -> CompletionRequest:
        """Return the request with the schema or the tools that go along with it."""
        if self._schema is not None:
            from mistral_nb.engine.structured import structured_request

            return structured_request(request, self._schema)
        if self._tools:
            from mistral_nb.tools.function_tool import tools_by_name

            return replace(
                request,
                tools=tuple(tool.definition() for tool in tools_by_name(self._tools).values()),
                tool_choice="auto",
            )
        return request

    def follow(self, told: Told, view: AnswerView, outcome: Outcome) -> None:
        """Ask, and show and note what comes."""
        if self._schema is not None:
            self._follow_object(told.request, outcome)
            return
        from mistral_nb.notebook.following import follow

        with meanwhile(view.catch_up):
            follow(told.request, session=self.session, outcome=outcome, watcher=_OnScreen(view), tools=self._tools)

    def _follow_object(self, request: CompletionRequest, outcome: Outcome) -> None:
        from mistral_nb.notebook.magic.object_text import as_json_block

        options = self.options
        answer = self.session.complete(
            list(request.messages),
            model=options.model,
            temperature=options.temperature,
            max_tokens=options.max_tokens,
            schema=self._schema,
            **self._api_options,
        )
        outcome.answer = answer
        outcome.value = answer.parsed
        outcome.shown_as = as_json_block(answer.parsed)

    def _request(self, messages: list[JsonObject], conversation: Conversation | None) -> CompletionRequest:
        options = self.options
        return self.session.request(
            messages,
            model=options.model,
            system=self.system(conversation),
            temperature=options.temperature,
            max_tokens=options.max_tokens,
            **self._api_options,
        )


class _OnScreen:
    """Shows on a cell's screen what comes."""

    def __init__(self, view: AnswerView) -> None:
        self._view = view

    def grew(self, delta: Delta, outcome: Outcome) -> None:
        self._view.grow(outcome.answer.text, is_thinking=bool(outcome.answer.thinking))

    def call_started(self, call: "Call") -> None:
        """Nothing is shown of a call before its end, which can take long, but all that was said before it."""
        self._view.catch_up_now()

    def call_finished(self, step: "ToolStep") -> None:
        self._view.add_step(str(step))

"""The panel as a widget, and what `mistral_nb.chat` does.

Keeps to itself: ipywidgets, the messages of the page, and the two outputs: the live panel, and below it the transcript that stays
readable when the kernel is gone.
Promises: the page is told everything through numbered messages and told nothing twice; a message of the page that can't be obeyed
is answered with why, and what was typed goes back.
"""

import atexit
import inspect
import weakref
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, ParamSpec

from anywidget import AnyWidget
from IPython.core.getipython import get_ipython
from IPython.display import DisplayHandle, display

from mistral_nb.completion import JsonObject
from mistral_nb.counted import counted
from mistral_nb.engine.budget import checked_budget
from mistral_nb.engine.session import Session
from mistral_nb.errors import MistralNotebookError
from mistral_nb.notebook.chat.answering import Sampling
from mistral_nb.notebook.chat.conversation import ChatConversation
from mistral_nb.notebook.chat.export import exported, format_of
from mistral_nb.notebook.chat.images import checked_images
from mistral_nb.notebook.chat.inbox import Inbox, Message
from mistral_nb.notebook.chat.sharing import DEFAULT_ROWS, shared_frames
from mistral_nb.notebook.chat.transcript import Transcript
from mistral_nb.notebook.chat.turns import ChatTurn, error_json
from mistral_nb.tools.function_tool import tools_by_name

Options = ParamSpec("Options")

_STATIC = Path(__file__).parent / "static"
_TOLD_WITHOUT_WIDGETS = 'there are no widgets here, so the panel can\'t be shown; panel.ask("…") asks in plain text.'
_ENDED = {"done", "stopped", "failed"}
_PATIENCE_AT_EXIT_SECONDS = 2.0


class ChatPanel(AnyWidget):
    """A conversation with a model, as a widget: what `mistral_nb.chat` shows, for layouts such as ``VBox([panel, table])``.

    Parameters, errors and examples as in `mistral_nb.chat`.

    Attributes
    ----------
    conversation
        The panel without its widget.

    Examples
    --------
    >>> import mistral_nb
    >>> from ipywidgets import HTML, VBox
    >>> panel = mistral_nb.ChatPanel(system="Be brief.", max_tokens=10)
    >>> layout = VBox([HTML("Ask about the sales"), panel])
    >>> turn = panel.ask("Say hello.")
    >>> panel.last is turn, panel.cost_usd
    (True, Decimal('0'))
    """

    _esm = _STATIC / "panel.js"
    _css = _STATIC / "panel.css"

    def __init__(
        self,
        *,
        model: str | None = None,
        system: str | None = None,
        df: Any = None,
        rows: int = DEFAULT_ROWS,
        tools: Any = (),
        budget_usd: float | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        session: Session | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self._let_the_page_choose_its_shell()
        self._below: DisplayHandle | None = None
        self._shown_in: int | None = None
        transcript_name = f"mistral-nb-of-{self.model_id}"
        self._transcript = Transcript(transcript_name)
        self.conversation = ChatConversation(
            self._tell,
            model=model,
            system=system,
            tools=tools_by_name(tools),
            frames=shared_frames(df, rows=rows, variables=_notebook_variables()),
            budget_usd=checked_budget(budget_usd),
            sampling=Sampling(temperature=temperature, max_tokens=max_tokens, options=options),
            session=session,
            facts={"transcript": transcript_name},
        )
        self._inbox = Inbox(self._obey_or_refuse)
        self._drafts: dict[str, JsonObject | None] = {}
        self.on_msg(self._from_page)
        _panels.add(self)

    @property
    def turns(self) -> tuple[ChatTurn, ...]:
        """Every question and what came of it, oldest first."""
        return self.conversation.log.turns

    @property
    def last(self) -> ChatTurn | None:
        """The last turn; None before the first."""
        turns = self.turns
        return turns[-1] if turns else None

    @property
    def messages(self) -> list[JsonObject]:
        """The conversation as the API takes it: system message, questions, answers, calls of tools and their results."""
        return self.conversation.messages()

    @property
    def cost_usd(self) -> Decimal | None:
        """What all answers cost, in USD, those included that were dropped since; None where a price is not known."""
        return self.conversation.cost_usd

    @property
    def budget_usd(self) -> Decimal | None:
        """Most that the panel may spend, in USD; None for no limit. It can be changed: ``panel.budget_usd = 1``."""
        return self.conversation.budget_usd

    @budget_usd.setter
    def budget_usd(self, budget_usd: float | None) -> None:
        self.conversation.set_budget(checked_budget(budget_usd))

    @property
    def model(self) -> str:
        """Who is asked next. It can be changed: ``panel.model = "large"``."""
        return self.conversation.model

    @model.setter
    def model(self, model: str) -> None:
        self.conversation.choose_model(model)

    def ask(self, question: str) -> ChatTurn:
        """Ask, wait, and return the turn; the panel shows it as if it had been typed there.

        Consent for tools is asked for at a prompt. An interrupt stops the answer; what had come is kept in the panel.

        Raises
        ------
        EmptyPrompt
            There is no text in the question.
        MistralNotebookError
            The answer failed; one subclass per cause.

        Examples
        --------
        >>> import mistral_nb
        >>> panel = mistral_nb.ChatPanel(max_tokens=10)
        >>> panel.ask("Say hello.").text == panel.last.text
        True
        """
        conversation = self.conversation
        turn = conversation.wait(conversation.ask(question, by_prompt=True))
        if turn.error is not None:
            raise turn.error
        return turn

    def stop(self) -> None:
        """Stop what is being answered, and drop what waits; what has come is kept, marked as stopped."""
        self.conversation.stop()

    def clear(self) -> None:
        """Drop everything that was said; what it cost stays counted."""
        self.conversation.clear()

    def share(self, df: Any, *, rows: int = DEFAULT_ROWS) -> None:
        """Tell the model of these frames from the next question on, in place of those before; None for none.

        Raises
        ------
        InvalidOption
            `df` is no frame (or dict of frames), or `rows` no whole number from 0 to 100.
        """
        self.conversation.share(shared_frames(df, rows=rows, variables=_notebook_variables()))

    def export(self, path: str | Path) -> Path:
        """Write the conversation into a file, and return its path; the ending decides: .md, .html, .ipynb or .json.

        Raises
        ------
        InvalidOption
            The file's ending is none of these.
        """
        target = Path(path)
        text = exported(format_of(target), self.turns, self.messages)
        target.write_text(text, encoding="utf-8")
        return target

    def close(self) -> None:
        """Stop what is being answered and take the panel off the page; its transcript stays."""
        # At the end of Python, ipywidgets closes also what a refused option kept from being made.
        if hasattr(self, "conversation"):
            self.conversation.stop()
        super().close()

    def show(self) -> None:
        """Display the panel, and below it the transcript that takes its place when the kernel is gone."""
        shell = get_ipython()
        if shell is None or not hasattr(shell, "kernel"):
            print(f"mistral_nb: {_TOLD_WITHOUT_WIDGETS}")  # noqa: T201  # the line that the user is promised
            return
        self._shown_in = shell.execution_count
        bundle = self._repr_mimebundle_() or ({}, {})
        display({**bundle[0], "text/plain": f"mistral_nb: {_TOLD_WITHOUT_WIDGETS}"}, metadata=bundle[1], raw=True)
        below = DisplayHandle()
        below.display(self._transcript.bundle(self.turns), raw=True)
        self._below = below

    def _ipython_display_(self) -> None:
        """Display, unless `mistral_nb.chat` did so in this very cell, whose last line gives the panel once more."""
        shell = get_ipython()
        shown_in, self._shown_in = self._shown_in, None
        if shown_in is None or shown_in != getattr(shell, "execution_count", None):
            self.show()

    def __repr__(self) -> str:
        if not hasattr(self, "conversation"):
            return "ChatPanel(an option was refused)"
        turns = len(self.turns)
        return f"ChatPanel({self.model}, {counted(turns, 'turn')})"

    def _tell(self, message: JsonObject) -> None:
        """Tell the page of a change; called in the order of the changes, from any thread."""
        is_open = self.comm is not None
        if is_open:
            self.send(dict(message))
        # Each time it is the whole transcript that is sent, so not for every call of a tool.
        has_ended = message["kind"] == "dropped" or (message["kind"] == "turn" and message["turn"]["state"] in _ENDED)
        if self._below is not None and has_ended:
            self._below.update(self._transcript.bundle(self.turns), raw=True)
            if is_open:
                self.send({"kind": "transcript", **self._transcript.mark})

    def _let_the_page_choose_its_shell(self) -> None:
        """Have the page's messages handled in the subshell that JupyterLab addresses them to.

        ipykernel 7.4 hands them to the (sub)shell from which the last message was sent instead. What the thread of an answer sends
        counts as the cells' shell, where a stop would wait for the cell that runs; what is sent in answer to a page that was closed
        since, as a subshell that has ended, where the next page would never be heard.
        """
        if self.comm is not None:
            setattr(self.comm, "_reply_subshell_for", None)  # noqa: B010  # ipykernel asks for it with getattr

    def _from_page(self, _widget: object, content: Any, buffers: Sequence[memoryview]) -> None:
        """Do what the page asks for, once for each of its numbers; called from any thread."""
        match content:
            case {"page": str(page), "number": int(number)}:
                self.send(self._inbox.take(page, number, (content, buffers)))
            case {"kind": "progress", "page": str(page)}:
                self.send(self._inbox.progress(page))
            case {"kind": "hello", "drafts": [*drafts]}:
                known = {draft: self._drafts[draft] for draft in drafts if draft in self._drafts}
                self.conversation.log.tell_all(drafts=known)

    def _obey_or_refuse(self, message: Message) -> None:
        content, buffers = message
        draft = content.get("draft")
        refusal: JsonObject | None = None
        try:
            self._obey(content, buffers)
        except MistralNotebookError as error:
            refusal = error_json(error)
            self.send({"kind": "refused", "draft": draft, "error": refusal})
        if isinstance(draft, str):
            self._drafts[draft] = refusal

    def _obey(self, content: Any, buffers: Sequence[memoryview]) -> None:
        conversation = self.conversation
        match content:
            case {"kind": "ask", "text": str(text), "draft": str(draft), "images": [*names]}:
                files = [(str(name), bytes(buffer)) for name, buffer in zip(names, buffers, strict=False)]
                conversation.ask(text, images=checked_images(files), draft=draft)
            case {"kind": "stop", "turn": int(turn)}:
                conversation.stop(turn)
            case {"kind": "retry", "turn": int(turn), "model": str() | None as model}:
                conversation.retry(turn, model=model)
            case {"kind": "edit", "turn": int(turn), "text": str(text), "draft": str(draft)}:
                conversation.edit(turn, text, draft=draft)
            case {"kind": "pin", "turn": int(turn), "isPinned": bool(is_pinned)}:
                conversation.pin(turn, is_pinned=is_pinned)
            case {"kind": "consent", "call": str(call), "isAllowed": bool(is_allowed)}:
                conversation.consent(call, is_allowed=is_allowed)
            case {"kind": "model", "model": str(model)}:
                conversation.choose_model(model)
            case {"kind": "clear"}:
                conversation.clear()
            case {"kind": "transcript"}:  # of a page loaded anew, in which Jupyter no longer knows the output's id
                data = self._transcript.bundle(self.turns)
                self.send({"kind": "transcript", **self._transcript.mark, "data": data})
            case {"kind": "export", "format": str(format_name)}:
                text = exported(format_name, self.turns, self.messages)
                self.send({"kind": "file", "name": f"conversation.{format_name}", "text": text})


def _shown(make: Callable[Options, ChatPanel]) -> Callable[Options, ChatPanel]:
    """Return a function that also displays what it makes, and takes the same."""

    def chat(*args: Options.args, **options: Options.kwargs) -> ChatPanel:
        """Display a chat panel below the cell, and return it.

        Parameters
        ----------
        model
            Name, alias or short name; default: the settings' model. It can be changed in the panel.
        system
            System message, sent with every question.
        df
            A DataFrame or Series that the model is told of, or a dict of them by name. The panel shows exactly what is sent:
            columns, dtypes, missing values, ranges, and the first `rows` rows, as the frame is now; nothing else of it leaves the
            notebook.
        rows
            How many of the first rows are told; 0: none, and no other value of the frame either.
        tools
            Functions that the model may call, as in `chat_with_tools`. Those with ``confirm=True`` wait for Allow or Deny in the
            panel.
        budget_usd
            Most that the panel may spend: what a request can cost at most is set aside before it is sent.
        temperature, max_tokens
            As in the API. With a budget, an answer has at most 4,096 tokens where `max_tokens` says nothing else.
        session
            Default: the one that all doors share.
        **options
            Further fields of the API's request, e.g. ``top_p=0.9``.

        Returns
        -------
        ChatPanel
            `turns`, `last`, `messages`, `cost_usd`; `ask`, `stop`, `clear`, `share`, `export`; `model` and `budget_usd` can be set.

        Raises
        ------
        InvalidOption
            `df` is no frame, `rows` or `budget_usd` no such number, or a tool is none.
        UnknownPrice
            There is a budget, and no price to keep it with.
        UnknownModel
            There is no such embedded model.

        Examples
        --------
        >>> import pandas as pd, mistral_nb
        >>> sales = pd.DataFrame({"town": ["Lyon", "Nice"], "sold": [3, 5]})
        >>> panel = mistral_nb.chat(df=sales, system="You help with sales data.")  # doctest: +ELLIPSIS
        mistral_nb: there are no widgets here, ...
        >>> panel.cost_usd
        Decimal('0')
        """
        panel = make(*args, **options)
        panel.show()
        return panel

    chat.__qualname__ = chat.__name__
    signature = inspect.signature(make).replace(return_annotation=ChatPanel)
    setattr(chat, "__signature__", signature)  # noqa: B010  # what help() shows; functions are not known to have one
    return chat


chat = _shown(ChatPanel)

_panels: weakref.WeakSet[ChatPanel] = weakref.WeakSet()


@atexit.register
def _stop_all() -> None:
    """Stop what is being answered, and wait a moment for that, before the loop of the requests ends."""
    for panel in list(_panels):
        panel.stop()
    for panel in list(_panels):
        panel.conversation.wait_until_idle(_PATIENCE_AT_EXIT_SECONDS)


def _notebook_variables() -> dict[str, Any]:
    shell = get_ipython()
    return {} if shell is None else dict(shell.user_ns)

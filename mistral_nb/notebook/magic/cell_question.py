"""What a cell asks, from what was typed to what is shown and kept.

Keeps to itself: the order of things: prepare, ask, show, keep, and put code below.
Promises: what arrived before an interrupt, a lost connection or a refusal is shown, marked and kept, with its tokens; a dry run
sends nothing.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from mistral_nb.completion import Completion
from mistral_nb.engine.current import current_session
from mistral_nb.errors import EmptyPrompt, PromptTooLong
from mistral_nb.notebook.code_cell import as_block, put_below, python_code
from mistral_nb.notebook.conversations import Conversation, Conversations, Exchange
from mistral_nb.notebook.display import without_controls
from mistral_nb.notebook.footer import footer_text, metadata, why_incomplete
from mistral_nb.notebook.frame_context import described
from mistral_nb.notebook.magic import notebook_names
from mistral_nb.notebook.magic.answer_view import AnswerView, screen_for
from mistral_nb.notebook.magic.dry_run import dry_run_text, sent_text
from mistral_nb.notebook.magic.fill_in_middle import around_gap
from mistral_nb.notebook.magic.interpolation import interpolated
from mistral_nb.notebook.magic.options import AskOptions, found
from mistral_nb.notebook.magic.question import Question, Told
from mistral_nb.notebook.outcome import Outcome
from mistral_nb.refusal import check_answered


class CellQuestions:
    """What asks for the cells of one shell.

    Attributes
    ----------
    conversations
        What ``--session`` continues.
    last_answer
        The last completion, for ``%mistral insert``; None before the first.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self.conversations = Conversations()
        self.last_answer: Completion | None = None
        self._shell = shell
        self._shown: tuple[int, Any] | None = None

    def ask(self, prompt: str, options: AskOptions, *, is_shown_first: bool = False) -> Any:
        """Show the answer while it comes, keep it, and return it: a Completion, with --tools a ToolAnswer, with --json the object.

        None for a dry run. `is_shown_first` shows what is sent before it is.
        """
        session = current_session()
        variables = notebook_names.variables(self._shell)
        question = Question(session, self._text(prompt, options, variables), options, variables)
        conversation = self.conversations[options.session] if options.session else None
        if options.dry_run or is_shown_first:
            told = question.told(conversation)
            whole = question.with_form(told.request)
            _say(dry_run_text(whole, session, turns=told.turns) if options.dry_run else sent_text(whole))
        return None if options.dry_run else self._answered(question, conversation)

    def fill_gap(self, cell: str, options: AskOptions) -> None:
        """Show what the model puts into the gap of the code, and put the whole code into a cell below."""
        before, after = around_gap(cell)
        session, view = current_session(), AnswerView(screen_for(self._shell))
        outcome = Outcome(Completion(text="", model="", finish_reason=""))
        try:
            outcome.answer = session.fill_in_middle(before, after, model=options.model, max_tokens=options.max_tokens)
        except BaseException as error:
            self._broken_off(error, view, outcome, options)
            raise
        outcome.value, outcome.shown_as = outcome.answer, as_block(outcome.answer.text, "python")
        bill = outcome.bill(session)
        view.finish(
            outcome.shown_as,
            note=why_incomplete(outcome.answer),
            footer=footer_text(outcome.answer, bill),
            metadata=metadata(outcome.answer, bill),
        )
        self._keep(outcome, options)
        check_answered(outcome.answer)
        put_below(self._shell, (before + outcome.answer.text + after).removesuffix("\n"))

    def insert_code(self, answer: Completion) -> None:
        """Put the answer's code into a cell below, or say that there is none."""
        code = python_code(answer.text)
        if code is None:
            _say("There is no Python code in the answer, so there is no new cell.")
        else:
            put_below(self._shell, code)

    def was_just_shown(self, answer: Any) -> bool:
        """Whether the cell that runs has shown this answer already."""
        return self._shown is not None and self._shown[0] == self._shell.execution_count and self._shown[1] is answer

    def _text(self, prompt: str, options: AskOptions, variables: Mapping[str, Any]) -> str:
        """Return the text of the question: the frames' descriptions, and the prompt with its variables filled in."""
        prompt = prompt.removesuffix("\n")  # IPython's, not the reader's
        text = prompt if options.raw else interpolated(prompt, variables)
        if not text.strip():
            raise EmptyPrompt("The prompt is empty.", "Write what you want to ask below the line with %%mistral.")
        frames = notebook_names.frames(variables)
        parts = [described(found(name, frames, option="--df", kind="frame"), name=name) for name in options.df]
        return "\n\n".join([*parts, text])

    def _answered(self, question: Question, conversation: Conversation | None) -> Any:
        options = question.options
        view = AnswerView(screen_for(self._shell))
        outcome = Outcome(Completion(text="", model=question.model, finish_reason=""))
        told: Told | None = None
        try:
            for told in question.attempts(conversation):
                try:
                    question.follow(told, view, outcome)
                    break
                except PromptTooLong:  # the window of other people's models is not known beforehand
                    if told.turns is None or not told.turns.sent or outcome.answer.text:
                        raise
        except BaseException as error:
            self._broken_off(error, view, outcome, options, question=question, told=told)
            if outcome.answer.text:
                self._keep(outcome, options, conversation, told)
            raise
        self._finish(view, outcome, question, told)
        self._keep(outcome, options, conversation, told)
        self._shown = (self._shell.execution_count, outcome.value)
        check_answered(outcome.answer)
        if options.form == "code":
            self.insert_code(outcome.answer)
        return outcome.value

    def _broken_off(
        self,
        error: BaseException,
        view: AnswerView,
        outcome: Outcome,
        options: AskOptions,
        *,
        question: Question | None = None,
        told: Told | None = None,
    ) -> None:
        outcome.broke_off(told.request if told else None)
        if isinstance(error, KeyboardInterrupt) and not options.debug:
            _shorten(error, kept_in=options.out if outcome.answer.text else None)
        if question is None or not outcome.answer.finish_reason:  # nothing came
            view.finish("")
        else:
            self._finish(view, outcome, question, told)

    def _finish(self, view: AnswerView, outcome: Outcome, question: Question, told: Told | None) -> None:
        answer, turns = outcome.answer, told.turns if told else None
        bill = outcome.bill(question.session)
        view.finish(
            outcome.shown_text,
            note=why_incomplete(answer),
            footer=footer_text(answer, bill, turns=turns),
            metadata=metadata(answer, bill, turns=turns),
        )

    def _keep(
        self,
        outcome: Outcome,
        options: AskOptions,
        conversation: Conversation | None = None,
        told: Told | None = None,
    ) -> None:
        answer = outcome.answer
        self.last_answer = answer
        if options.out is not None:
            self._shell.user_ns[options.out] = outcome.value
        if conversation is None or told is None or not answer.text.strip():
            return
        conversation = replace(conversation, system=options.system or conversation.system, model=answer.model)
        said = outcome.said or ({"role": "assistant", "content": answer.text},)
        self.conversations.add(conversation, Exchange(messages=(told.question, *said)))


def _shorten(interrupt: KeyboardInterrupt, *, kept_in: str | None) -> None:
    """Give the interrupt a message in place of the frames between the reader's cell and the network."""
    kept = f" What had come is in {kept_in}." if kept_in else ""
    lines = [f"KeyboardInterrupt: stopped; the request is closed.{kept}"]

    def rendered() -> list[str]:
        return lines

    interrupt._render_traceback_ = rendered  # type: ignore[attr-defined]  # IPython's own hook


def _say(text: str) -> None:
    print(without_controls(text))  # noqa: T201  # what was asked for

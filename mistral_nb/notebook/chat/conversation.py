"""A panel without its widget: what can be done with the conversation, from Python or from the page.

Promises: every method may be called from any thread, and returns at once but for `wait`; what can't be done raises, and changes
nothing.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from mistral_nb import catalogue
from mistral_nb.completion import JsonObject
from mistral_nb.engine.current import current_session
from mistral_nb.engine.session import Session
from mistral_nb.errors import EmptyPrompt, InvalidOption, UnknownPrice
from mistral_nb.notebook.chat.answering import Answering, Sampling
from mistral_nb.notebook.chat.images import ImageFile, refuse_blind_model
from mistral_nb.notebook.chat.log import ChatLog, Send
from mistral_nb.notebook.chat.purse import Purse
from mistral_nb.notebook.chat.sharing import SharedFrame, system_message
from mistral_nb.notebook.chat.turns import ChatTurn
from mistral_nb.notebook.chat.worker import Consents, Worker
from mistral_nb.notebook.footer import cost_text
from mistral_nb.settings import is_local
from mistral_nb.tools.function_tool import Tool

_ACTIVE = {"queued", "running"}
_PROMPT_POLL_SECONDS = 0.05


class ChatConversation:
    """A conversation with a model, and what it may know, call and spend.

    Parameters
    ----------
    send
        Called with every change, as a message for the page.
    model, system, tools, frames, budget_usd, sampling
        As checked by the panel.
    session
        None for the one that all doors share, whatever the settings become.
    facts
        What the page is told of the panel beside what is known here.
    """

    def __init__(
        self,
        send: Send,
        *,
        model: str | None,
        system: str | None,
        tools: Mapping[str, Tool],
        frames: tuple[SharedFrame, ...],
        budget_usd: Decimal | None,
        sampling: Sampling,
        session: Session | None = None,
        facts: JsonObject | None = None,
    ) -> None:
        self._session = session
        self._further_facts = facts or {}
        self._model = None if model is None else self.session.model_name(model)
        self._system = system
        self._tools = tools
        self._frames = frames
        self._sampling = sampling
        self._purse = Purse(budget_usd)
        self._purse.check_price(self.model, self.session)
        self._consents = Consents()
        self._prompted: set[int] = set()
        self._lock = threading.RLock()
        self._facts_lock = threading.RLock()
        self.log = ChatLog(send)
        self._worker = Worker(self._answer)
        self._tell_facts()

    @property
    def session(self) -> Session:
        return self._session or current_session()

    @property
    def model(self) -> str:
        """Who is asked next: what was chosen, or else what the settings say."""
        return self._model or self.session.model_name(None)

    @property
    def cost_usd(self) -> Decimal | None:
        """What all answers cost, those included that were dropped since; None where a price is not known."""
        return self._purse.spent_usd

    @property
    def budget_usd(self) -> Decimal | None:
        return self._purse.limit_usd

    def set_budget(self, budget_usd: Decimal | None) -> None:
        """Change the most that may be spent, what is spent already included."""
        before, self._purse.limit_usd = self._purse.limit_usd, budget_usd
        try:
            self._purse.check_price(self.model, self.session)
        except UnknownPrice:
            self._purse.limit_usd = before
            raise
        self._tell_facts()

    def choose_model(self, model: str) -> None:
        """Ask another model from the next question on."""
        name = self.session.model_name(model)
        self._purse.check_price(name, self.session)
        self._model = name
        self._tell_facts()

    def share(self, frames: tuple[SharedFrame, ...]) -> None:
        """Change what is told of frames, from the next question on."""
        self._frames = frames
        self._tell_facts()

    def system_message(self) -> str | None:
        """Return the system message as it is sent."""
        return system_message(self._system, self._frames)

    def ask(
        self,
        question: str,
        *,
        images: Sequence[ImageFile] = (),
        model: str | None = None,
        draft: str | None = None,
        by_prompt: bool = False,
    ) -> ChatTurn:
        """Put a question at the end of the line, and return its turn, not yet answered.

        Parameters
        ----------
        model
            For this question alone.
        draft
            The name under which a page sent it.
        by_prompt
            Ask for consent at a prompt, in `wait`.
        """
        if not question.strip() and not images:
            raise EmptyPrompt("The question is empty.", "Write what you want to ask.")
        name = self.model if model is None else self.session.model_name(model)
        self._purse.check_price(name, self.session)
        if images and is_local(name):
            refuse_blind_model(name, self.session)  # known at once, so that the image stays where it was dropped
        with self._lock:
            turn = self.log.add(question, draft=draft, images=tuple(images), model=name)
            if by_prompt:
                self._prompted.add(turn.id)
            self._worker.add(turn.id)
        return turn

    def wait(self, turn: ChatTurn) -> ChatTurn:
        """Return the turn as it ended; asks for consent at this thread's prompt. An interrupt stops the turn."""
        try:
            while not self._worker.wait(turn.id, _PROMPT_POLL_SECONDS):
                self._consents.ask_by_prompt()
        except KeyboardInterrupt:
            self.stop(turn.id)
            self._worker.wait(turn.id)
            raise
        return self.log.get(turn.id) or turn

    def stop(self, turn_id: int | None = None) -> None:
        """Stop a turn, or with None all that are asked; what has come is kept."""
        for turn in self.log.turns:
            if turn.state in _ACTIVE and turn_id in (None, turn.id) and self._worker.stop(turn.id):
                self.log.change(turn.id, lambda waiting: replace(waiting, state="stopped", note="Not sent."))

    def wait_until_idle(self, seconds: float) -> bool:
        """Wait until nothing is being answered, at most so long for each turn; whether that is so."""
        return all(self._worker.wait(turn.id, seconds) for turn in self.log.turns)

    def retry(self, turn_id: int, *, model: str | None = None) -> ChatTurn:
        """Ask a question again, of the same model or another; its answer and what follows are dropped."""
        turn = self._known(turn_id)
        return self._asked_anew(turn, turn.question, model=model or turn.model)

    def edit(self, turn_id: int, question: str, *, draft: str | None = None) -> ChatTurn:
        """Ask something else in the place of a question; it and what follows are dropped."""
        if not question.strip():
            raise EmptyPrompt("The question is empty.", "Write what you want to ask.")
        return self._asked_anew(self._known(turn_id), question, model=None, draft=draft)

    def pin(self, turn_id: int, *, is_pinned: bool = True) -> None:
        """Send a turn along always, or only while it fits."""
        self._known(turn_id)
        self.log.change(turn_id, lambda turn: replace(turn, is_pinned=is_pinned))

    def clear(self) -> None:
        """Drop everything that was said; what it cost stays counted."""
        self.stop()
        self.log.drop()

    def consent(self, call_id: str, *, is_allowed: bool) -> None:
        """Allow or deny a call that waits for it."""
        self._consents.answer(call_id, is_allowed)

    def messages(self) -> list[JsonObject]:
        """Return the conversation as the API takes it: all that was answered, and the system message."""
        system = self.system_message()
        exchanges = [exchange for turn in self.log.turns if (exchange := turn.exchange()) is not None]
        said = [message for exchange in exchanges for message in exchange.messages]
        return [*([{"role": "system", "content": system}] if system else []), *said]

    def _asked_anew(self, turn: ChatTurn, question: str, *, model: str | None, draft: str | None = None) -> ChatTurn:
        if model is not None:
            self._purse.check_price(self.session.model_name(model), self.session)
        with self._lock:
            for later in self.log.turns:
                if later.id >= turn.id:
                    self.stop(later.id)
            self.log.drop(turn.id)
            return self.ask(question, images=turn.images, model=model, draft=draft)

    def _known(self, turn_id: int) -> ChatTurn:
        turn = self.log.get(turn_id)
        if turn is None:
            ids = ", ".join(str(known.id) for known in self.log.turns)
            raise InvalidOption(f"There is no turn {turn_id}.", f"There are: {ids}." if ids else "Ask something first.")
        return turn

    def _answer(self, turn_id: int) -> None:
        """Answer a turn; called by the worker."""
        turn = self.log.get(turn_id)
        if turn is None:  # dropped while it waited
            return
        by_prompt = turn_id in self._prompted
        Answering(
            turn,
            session=self.session,
            log=self.log,
            purse=self._purse,
            system=self.system_message(),
            sampling=self._sampling,
            tools=list(self._tools.values()),
            confirm=lambda call: self._consents.ask(call, by_prompt=by_prompt),
        ).run()
        self._prompted.discard(turn_id)
        self._tell_facts()

    def _tell_facts(self) -> None:
        with self._facts_lock:  # what was read earlier, by a cell or the worker, is not told later
            budget = self.budget_usd
            self.log.tell_facts(
                {
                    **self._further_facts,
                    "model": self.model,
                    "models": model_choices(self.session, self.model),
                    "cost": cost_text(self.cost_usd),
                    "budget": None if budget is None else cost_text(budget),
                    "frames": [frame.as_json() for frame in self._frames],
                    "system": self.system_message() or "",
                    "tools": [{"name": tool.name, "asks": tool.needs_confirmation} for tool in self._tools.values()],
                }
            )


def model_choices(session: Session, current: str) -> list[str]:
    """Return the models that can be chosen: the one that is, the catalogue's where Mistral answers, and the embedded ones here."""
    names = [current]
    if session.settings.is_mistrals_own and session.settings.api_key:
        for model in catalogue.load_catalogue().models:
            if model.kind == "chat" and model.status == "available":
                names += [alias for alias in model.aliases if alias.endswith("-latest")][:1]
    return list(dict.fromkeys([*names, *_local_models(session)]))


def _local_models(session: Session) -> list[str]:
    from mistral_nb.backends.embedded.weights import LOCAL_MODELS, weights_folder

    folder = weights_folder(session.settings.home)
    return [
        name for name, model in LOCAL_MODELS.items() if model.role == "chat" and (folder / model.file_name).is_file()
    ]

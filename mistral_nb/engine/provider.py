"""Who answers which model under these settings, within which limits, at what price.

Keeps to itself: when a backend is made, and when a price holds.
Promises: one backend of each kind, made at first use; a price only where Mistral's own address answers, or this machine.
"""

import threading
from contextlib import suppress
from decimal import Decimal
from typing import Literal

from mistral_nb import price_list
from mistral_nb.backends.backend import Backend
from mistral_nb.backends.selection import backend_for
from mistral_nb.completion import TokenUsage
from mistral_nb.engine.account import Account
from mistral_nb.engine.background_loop import Stopped, background_loop
from mistral_nb.engine.leave import LeaveToSend
from mistral_nb.engine.moderated import Judge, ModeratedBackend
from mistral_nb.engine.tokens import TokenCounter, token_counter
from mistral_nb.settings import Settings, is_local


class Provider:
    """Backends, limiters, token counters and prices of one session.

    Parameters
    ----------
    settings
        Key, endpoint, region and limits.
    account
        What is known of the limits.
    judge
        Asks the moderation model, for where the settings want it.
    """

    def __init__(self, settings: Settings, account: Account, *, judge: Judge) -> None:
        self._settings = settings
        self._judge = judge
        self._account = account
        self._backends: dict[str, Backend] = {}
        self._lock = threading.Lock()

    def backend(self, model: str) -> Backend:
        """Return the backend that answers for the model."""
        kind: Literal["embedded", "hosted"] = "embedded" if is_local(model) else "hosted"
        with self._lock:
            if kind not in self._backends:
                backend, policy = backend_for(kind, self._settings), self._settings.moderation_policy
                self._backends[kind] = backend if policy is None else ModeratedBackend(backend, policy, self._judge)
            return self._backends[kind]

    def limiter(self, model: str) -> LeaveToSend:
        """Return the limiter of the model: an embedded one has no limits but what the machine can do at once."""
        at_once = self.backend(model).max_concurrency
        settings = self._settings
        return self._account.limiter(
            model,
            max_concurrency=min(at_once or settings.max_concurrency, settings.max_concurrency),
            requests_per_minute=None if is_local(model) else settings.requests_per_minute,
            tokens_per_minute=None if is_local(model) else settings.tokens_per_minute,
        )

    def token_counter(self, model: str) -> TokenCounter:
        """Return what counts the tokens of a model; it takes a second to load the first time."""
        return token_counter(model, is_hosted=not is_local(model) and self._settings.is_mistrals_own)

    def cost_usd(self, model: str, usage: TokenUsage, *, is_batch: bool = False) -> Decimal | None:
        """Return what the tokens cost: 0 for an embedded model, None where no price is known.

        Another's endpoint has no published price, whatever its models are called; a contract's price holds there too.
        """
        if is_local(model):
            return Decimal(0)
        settings = self._settings
        if not settings.is_mistrals_own and not price_list.has_contract_price(model):
            return None
        region = settings.region if settings.is_mistrals_own else "global"
        return price_list.cost_usd(model, usage, region=region, is_batch=is_batch)

    def close(self) -> None:
        """Close connections; a later use makes new backends."""
        with self._lock:
            backends = list(self._backends.values())
            self._backends.clear()
        for backend in backends:
            with suppress(Stopped):  # as Python ends; without a loop until now there was no connection either
                background_loop.run(backend.aclose(), is_stoppable=False)

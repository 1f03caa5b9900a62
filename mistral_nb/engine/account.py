"""What all doors and all sessions of one account share: its limits, and the questions under way.

Used on the background loop only, except for reading.
"""

from typing import Any

from mistral_nb.engine.in_flight import InFlight
from mistral_nb.engine.leave import LeaveToSend
from mistral_nb.engine.limiter import Limiter


class Account:
    """The limiters of one key at one endpoint, one for each model and choice of limits by hand."""

    def __init__(self) -> None:
        self.in_flight = InFlight()
        self._limiters: dict[tuple[str, int, int | None, int | None], LeaveToSend] = {}

    def limiter(
        self, model: str, *, max_concurrency: int, requests_per_minute: int | None, tokens_per_minute: int | None
    ) -> LeaveToSend:
        """Return the limiter of the model, made at first use."""
        key = (model, max_concurrency, requests_per_minute, tokens_per_minute)
        if key not in self._limiters:
            self._limiters[key] = self._made(
                model=model,
                max_concurrency=max_concurrency,
                requests_per_minute=requests_per_minute,
                tokens_per_minute=tokens_per_minute,
            )
        return self._limiters[key]

    def _made(self, **limits: Any) -> LeaveToSend:
        """Return what gives leave within these limits; an account that other processes use too has it from elsewhere."""
        return Limiter(**limits)

"""What is kept of one request: who asked whom, what it used, how it ended. Never a word of what was asked or answered.

Promises: a frozen record of plain values; an amount is exact (`Decimal`), and None where it is not known.
"""

import datetime
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from mistral_nb.engine.occasion import Door

Operation = Literal["chat", "fim", "embeddings", "moderations"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """One request that has ended, or what a run took from the cache.

    Attributes
    ----------
    began_unix_seconds
        When it was sent (its last attempt).
    door, verb, notebook, tag
        Who asked, as in `mistral_nb.engine.occasion.Occasion`.
    operation
        Which of the API's paths it went to.
    model, response_model
        The model that was asked, and the one that the response names; None where nothing came back.
    response_id, correlation_id
        The API's own names for the response and for the exchange, to quote to Mistral's support.
    rows
        How many texts it carried; with `from_cache`, how many rows took a kept answer.
    prompt_tokens, cached_tokens, completion_tokens
        As the response counts them; `cached_tokens` are a part of `prompt_tokens`.
    cost_usd
        0 for a request that is not billed. None: no price is known, or an answer that did not arrive may have been billed.
    first_token_seconds, latency_seconds
        From sending its last attempt to the first piece of a streamed answer, and to the end; waiting for limits does not count.
    attempts
        How many times it was sent.
    finish_reason
        As the API sent it; None where nothing came back.
    error
        The class of the exception it ended with, e.g. "RateLimited"; "Cancelled" where the user did not wait for the end; None.
    from_cache
        Whether kept answers were taken instead of asking: one record for each run.
    saved_usd
        What asking for the kept answers again would cost; None where no price is known.

    Examples
    --------
    >>> import mistral_nb
    >>> records = []
    >>> stop = mistral_nb.on_event(records.append)
    >>> answer = mistral_nb.session().complete("Say hello.", max_tokens=5)
    >>> stop()
    >>> [(record.verb, record.model, record.attempts, record.error) for record in records]
    [('complete', 'local-tiny', 1, None)]
    """

    began_unix_seconds: float
    door: Door
    verb: str
    notebook: str | None = None
    tag: str | None = None
    operation: Operation = "chat"
    model: str
    response_model: str | None = None
    response_id: str | None = None
    correlation_id: str | None = None
    rows: int = 1
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: Decimal | None = Decimal(0)
    first_token_seconds: float | None = None
    latency_seconds: float = 0.0
    attempts: int = 1
    finish_reason: str | None = None
    error: str | None = None
    from_cache: bool = False
    saved_usd: Decimal | None = Decimal(0)

    @property
    def time(self) -> datetime.datetime:
        """When it was sent, in UTC."""
        return datetime.datetime.fromtimestamp(self.began_unix_seconds, tz=datetime.UTC)

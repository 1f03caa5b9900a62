"""Which models give log-probabilities beside their answers: found out by asking one, and remembered in the file of kept answers.

Keeps to itself: the question, and how the finding is written down.
Promises: a finding holds for one model of one endpoint, in every kernel, for as long as answers are kept. A file that can't be used
remembers nothing, and is no error here: whoever keeps answers in it says so.
"""

import time
from collections.abc import Callable
from contextlib import suppress

from mistral_nb.completion import Completion
from mistral_nb.engine.bill import Opening
from mistral_nb.engine.database import Database
from mistral_nb.engine.occasion import billed
from mistral_nb.errors import BudgetReached, CacheProblem, RequestRejected

_SECONDS_PER_DAY = 86_400.0


class LogProbabilities:
    """What is known of the models that a session asks.

    Parameters
    ----------
    database
        The file.
    max_age_days
        A finding that is older is none; None for any age.
    endpoint_of, complete
        Where a model is asked, and what asks it.
    """

    def __init__(
        self,
        database: Database,
        *,
        max_age_days: float | None,
        endpoint_of: Callable[[str], str],
        complete: Callable[..., Completion],
    ) -> None:
        self._database = database
        self._max_age_days = max_age_days
        self._endpoint_of = endpoint_of
        self._complete = complete

    def known(self, model: str) -> bool | None:
        """Return whether the model gives them; None where nobody has asked it, or too long ago."""
        oldest = 0.0 if self._max_age_days is None else time.time() - self._max_age_days * _SECONDS_PER_DAY
        with suppress(CacheProblem), self._database.reading() as connection:
            found = connection.execute(
                "SELECT are_given FROM log_probabilities WHERE endpoint = ? AND model = ? AND found_unix_seconds >= ?",
                [self._endpoint_of(model), model, oldest],
            ).fetchone()
            return None if found is None else bool(found[0])
        return None

    def ask(self, model: str, opening: Opening) -> bool | None:
        """Ask the model for some and return whether it gave them; None, and nothing sent, where the budget does not reach so far.

        Mistral's SDK (3.7.0) has the fields for them, the published specification (2026-08) has not, and refuses unknown ones.
        """
        try:
            with billed(opening):
                answer = self._complete("Answer yes.", model=model, max_tokens=4, logprobs=True, top_logprobs=2)
            are_given = bool(answer.token_log_probabilities)
        except RequestRejected:
            are_given = False
        except BudgetReached:
            return None
        with suppress(CacheProblem), self._database.writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO log_probabilities (endpoint, model, are_given, found_unix_seconds) VALUES (?,?,?,?)",
                [self._endpoint_of(model), model, are_given, time.time()],
            )
        return are_given

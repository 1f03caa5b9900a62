"""What has come of the texts of a plan: a value, an error, or nothing yet.

Keeps to itself: the counting of the rows that have a text.
Promises: the plan's values, the errors and the progress always say the same; an answer to a text asked alone goes before one from a
shared request, otherwise the first one holds.
"""

from typing import Any

from mistral_nb.engine.plan import UNANSWERED, RowsPlan
from mistral_nb.errors import MistralNotebookError, Refused


class TextOutcomes:
    """What has come of the texts of a plan, by their numbers.

    Attributes
    ----------
    errors
        Why texts were given up.
    progress
        The plan's, in rows.
    """

    def __init__(self, plan: RowsPlan) -> None:
        self.errors: dict[int, MistralNotebookError] = {}
        self.progress = plan.progress
        self._plan = plan
        self._answered_alone: set[int] = set()

    def is_open(self, number: int) -> bool:
        """Whether nothing has come of it yet."""
        return self._plan.values[number] is UNANSWERED and number not in self.errors

    def takes(self, number: int, *, asked_alone: bool) -> bool:
        """Whether an answer that has come is to be the text's."""
        if asked_alone and number not in self._answered_alone:
            self._answered_alone.add(number)
            return True
        return not asked_alone and self.is_open(number)

    def settle(self, number: int, value: Any, *, is_from_elsewhere: bool = False) -> None:
        """Give the value to every row of the text; one from elsewhere is another run's, and costs this one nothing."""
        rows = self._plan.rows_of[number]
        if self.is_open(number):
            self.progress.done += rows
            self.progress.cached += rows if is_from_elsewhere else 0
        elif number in self.errors:  # given up, and then answered by a request that audits
            error = self.errors.pop(number)
            self.progress.failed -= rows
            self.progress.refused -= rows if isinstance(error, Refused) else 0
        self._plan.values[number] = value

    def give_up(self, number: int, error: MistralNotebookError) -> None:
        """Leave the text without a value, because of this error."""
        rows = self._plan.rows_of[number]
        self.errors[number] = error
        self.progress.failed += rows
        self.progress.refused += rows if isinstance(error, Refused) else 0
        self.progress.done += rows

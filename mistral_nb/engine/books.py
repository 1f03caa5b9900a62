"""Who is told of a request that has ended, and which budgets one has to fit into before it is sent.

Keeps to itself: the listeners, and the budgets of the kernel and of the day.
Promises: every request of every door comes by here once.
"""

from functools import partial

from mistral_nb.completion import Completion, InputsRequest, RowRequest
from mistral_nb.engine.alerts import Alerts
from mistral_nb.engine.background_loop import background_loop
from mistral_nb.engine.budget import Budget
from mistral_nb.engine.budgets import Budgets
from mistral_nb.engine.database import Database
from mistral_nb.engine.day_budget import DayBudget
from mistral_nb.engine.events import tell_listeners
from mistral_nb.engine.ledger import Ledger
from mistral_nb.engine.occasion import Occasion
from mistral_nb.engine.open_request import EndedRequest, OpenRequest, Report
from mistral_nb.engine.provider import Provider
from mistral_nb.engine.request_record import Operation
from mistral_nb.engine.telemetry import Telemetry
from mistral_nb.errors import InvalidAnswer
from mistral_nb.settings import Settings

_KERNEL_REMEDY = (
    "Allow more: mistral_nb.configure(budget_usd_per_session=…), or restart the kernel. "
    "What is answered is kept and not paid for again."
)


class Books:
    """Ledger, listeners and budgets of one session.

    Attributes
    ----------
    ledger, telemetry, alerts
        Who is told of each request, beside the user's own functions.
    spent
        What this kernel has spent; it goes on when the settings change.
    """

    def __init__(self, settings: Settings, database: Database, provider: Provider) -> None:
        self.ledger = Ledger(database, soon=background_loop.soon)
        self.telemetry = Telemetry(settings.server_url)
        self.alerts = Alerts(settings.latency_budget_seconds, settings.error_rate_alert)
        self.spent = Budget(None, name="The kernel's budget", remedy=_KERNEL_REMEDY)
        self._others: list[Report] = [self.telemetry, self.alerts, tell_listeners]
        self._settings = settings
        self._provider = provider
        limit_usd = settings.budget_usd_per_day
        self._day = None if limit_usd is None else DayBudget(limit_usd, database)

    def report(self, ended: EndedRequest) -> None:
        """Write down a request that has ended, and tell all who want to know."""
        self.ledger(ended)
        self.tell_others(ended)

    def tell_others(self, ended: EndedRequest) -> None:
        """Tell all but the ledger."""
        for listener in self._others:
            listener(ended)

    def note_invalid(self, answer: Completion) -> None:
        """Write down that an answer, whose request has been reported as answered, could not be read."""
        if answer.response_id is not None:
            self.ledger.add_error(answer.response_id, InvalidAnswer.__name__)

    def opened(self, occasion: Occasion, operation: Operation, request: RowRequest) -> OpenRequest:
        """Return a request that reports its end here."""
        return OpenRequest(
            occasion=occasion,
            operation=operation,
            model=request.model,
            rows=len(request.inputs) if isinstance(request, InputsRequest) else 1,
            request=request,
            report=self.report,
        )

    def budgets(self, model: str, occasion: Occasion, *others: Budget, is_batch: bool = False) -> Budgets:
        """Return all budgets that a request of this occasion has to fit into."""
        self.spent.limit_usd = self._settings.budget_usd_per_session
        day = () if self._day is None else (self._day,)
        return Budgets(
            [*others, *(tab.budget for tab in occasion.tabs), self.spent, *day],
            model=model,
            price=partial(self._provider.cost_usd, model, is_batch=is_batch),
            counter=lambda: self._provider.token_counter(model),
        )

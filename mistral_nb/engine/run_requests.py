"""The requests of one run that are not yet reported.

Promises: each attempt of each request is reported once, also those of a run that was stopped.
"""

from decimal import Decimal

from mistral_nb.completion import InputsRequest, RowAnswer, RowRequest
from mistral_nb.engine.occasion import Occasion
from mistral_nb.engine.open_request import OpenRequest, Report
from mistral_nb.engine.units import Unit
from mistral_nb.errors import MistralNotebookError


class RunRequests:
    """What is under way, or waits to be tried again, by the unit that it asks for."""

    def __init__(self, *, occasion: Occasion, model: str, report: Report) -> None:
        self._occasion = occasion
        self._model = model
        self._report = report
        self._open: dict[Unit, OpenRequest] = {}

    def sent(self, unit: Unit, request: RowRequest) -> None:
        """Note that the request is sent now."""
        opened = self._open.get(unit)
        if opened is None:
            opened = self._open[unit] = OpenRequest(
                occasion=self._occasion,
                operation=request.endpoint if isinstance(request, InputsRequest) else "chat",
                model=self._model,
                rows=len(unit.numbers),
                request=request,
                report=self._report,
            )
        opened.attempt()

    def failed(self, unit: Unit, error: MistralNotebookError) -> None:
        """Note an attempt that failed; `end` reports it, if no later one succeeds."""
        self._open[unit].failed(error)

    def answered(
        self, unit: Unit, answer: RowAnswer, cost_usd: Decimal | None, *, error: MistralNotebookError | None = None
    ) -> None:
        """Report an answer; `error` says why it can't be used."""
        self._open.pop(unit).answered(answer, cost_usd=cost_usd, error=error)

    def end(self, unit: Unit) -> None:
        """Report a request that is not tried again."""
        if opened := self._open.pop(unit, None):
            opened.end()

    def end_all(self) -> None:
        """Report what is left: the run has ended."""
        for unit in list(self._open):
            self.end(unit)

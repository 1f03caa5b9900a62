"""What goes into which job: the requests of a plan as lines, within the budget and the bounds of the API.

Promises: pure functions; every request goes into exactly one job, in its order, or is told to be too much for the budget; a request
is named by its place in its job.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from mistral_nb.engine.plan import PlannedRequest
from mistral_nb.errors import MistralNotebookError


@dataclass(frozen=True, slots=True, kw_only=True)
class JobBounds:
    """How much goes into one job.

    Attributes
    ----------
    inline_requests, file_requests
        As published: 10 000 requests with the call that makes the job (specification of 2026-08), 100 000 in a file (Mistral's page
        on known limitations; another one says a million).
    inline_bytes
        Nothing is published; a call of this size is usual elsewhere too.
    file_bytes
        Published are 512 MB. This is what a slow line uploads within the time of one call, and fits into memory several times.
    """

    inline_requests: int = 10_000
    inline_bytes: int = 10_000_000
    file_requests: int = 100_000
    file_bytes: int = 100_000_000


@dataclass(slots=True)
class JobPart:
    """The requests of one job; `lines` is what is sent of each, and `size_bytes` all of them with their line ends."""

    requests: list[PlannedRequest] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)
    size_bytes: int = 0

    def add(self, request: PlannedRequest, line: bytes) -> None:
        self.requests.append(request)
        self.lines.append(line)
        self.size_bytes += len(line) + 1

    def has_room_for(self, line: bytes, bounds: JobBounds) -> bool:
        """Whether a file takes this line too; the first line always has room."""
        return not self.lines or (
            len(self.lines) < bounds.file_requests and self.size_bytes + len(line) + 1 <= bounds.file_bytes
        )

    def is_inline(self, bounds: JobBounds) -> bool:
        """Whether the requests can be sent with the call that makes the job."""
        return len(self.lines) <= bounds.inline_requests and self.size_bytes <= bounds.inline_bytes


def with_bodies(
    requests: Iterable[PlannedRequest],
    body: Callable[[PlannedRequest], bytes],
    refuse: Callable[[PlannedRequest, MistralNotebookError], None],
) -> Iterator[tuple[PlannedRequest, bytes]]:
    """Yield each request with its body as JSON on one line; one that can't be sent is tried in halves, and at last refused."""
    for request in requests:
        try:
            yield request, body(request)
        except MistralNotebookError as error:
            if len(request.numbers) == 1:
                refuse(request, error)
            else:
                yield from with_bodies(_halves(request), body, refuse)


def job_parts(requests: Iterable[tuple[PlannedRequest, bytes]], *, bounds: JobBounds) -> Iterator[JobPart]:
    """Yield the jobs of these requests and bodies, each as full as the bounds allow."""
    part = JobPart()
    for request, body in requests:
        line = _line(len(part.lines), body)
        if not part.has_room_for(line, bounds):
            yield part
            part = JobPart()
            line = _line(0, body)
        part.add(request, line)
    if part.lines:
        yield part


def _line(place: int, body: bytes) -> bytes:
    return b'{"custom_id":"%d","body":%s}' % (place, body)


def affordable(
    requests: Sequence[PlannedRequest], most_usd: Callable[[PlannedRequest], Decimal], hold: Callable[[Decimal], bool]
) -> tuple[list[PlannedRequest], list[int]]:
    """Hold the money for the requests; return those that fit, and the numbers of the texts that do not.

    Nothing of a job can be waited for before the next request is sent, so each is held at its most. Like in a live run, a request
    that does not fit is tried in halves, an audit is left out, and after a single text that does not fit no other is asked.
    """
    waiting = list(reversed(requests))
    fitting: list[PlannedRequest] = []
    while waiting:
        request = waiting.pop()
        if hold(most_usd(request)):
            fitting.append(request)
        elif len(request.numbers) > 1:
            waiting += reversed(_halves(request))
        elif not request.is_audit:
            left = [request, *reversed(waiting)]
            return fitting, [number for each in left if not each.is_audit for number in each.numbers]
    return fitting, []


def _halves(request: PlannedRequest) -> list[PlannedRequest]:
    middle = len(request.numbers) // 2
    return [PlannedRequest(request.numbers[:middle]), PlannedRequest(request.numbers[middle:])]


def body_without_model(body: dict[str, Any]) -> dict[str, Any]:
    """Return a request's body as a job takes it: the model is the job's."""
    return {name: value for name, value in body.items() if name != "model"}

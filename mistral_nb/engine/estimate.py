"""What a plan would send, counted request by request.

Promises: the requests that are counted are the ones that a run would make, its audit included; nothing is sent.
"""

from collections.abc import Callable
from decimal import Decimal

from mistral_nb import catalogue
from mistral_nb.completion import TokenUsage
from mistral_nb.engine.leave import LeaveToSend
from mistral_nb.engine.plan import RowsPlan
from mistral_nb.engine.receipt import Receipt
from mistral_nb.engine.rows import CorrectedTask, ReasoningTask
from mistral_nb.engine.tokens import TokenCounter

Price = Callable[[TokenUsage], Decimal | None]


def receipt_for(
    plan: RowsPlan,
    *,
    rows_per_request: int,
    counter: TokenCounter,
    limiter: LeaveToSend,
    price: Price,
    batch_price: Price,
) -> Receipt:
    """Return the receipt of a plan.

    Parameters
    ----------
    rows_per_request
        Most rows in one request.
    counter, limiter
        Of the model that would be asked.
    price, batch_price
        What tokens cost sent now, and in a batch job; None where unknown.
    """
    requests = plan.requests(rows_per_request=rows_per_request)
    expected, most = [0, 0], [0, 0]
    for planned in requests:
        request = plan.request(planned.numbers)
        expected[0] += counter.prompt_tokens(request)
        expected[1] += plan.expected_answer_tokens(planned.numbers)
        most[0] += counter.most_prompt_tokens(request)
        most[1] += request.most_completion_tokens or 0
    expected_usage, most_usage = (
        TokenUsage(prompt_tokens=read, completion_tokens=written) for read, written in (expected, most)
    )
    rationale_tokens = plan.task.rationale_tokens if isinstance(plan.task, ReasoningTask) else 0
    known = catalogue.load_catalogue()
    unique = sum(rows > 0 for rows in plan.rows_of)  # without what is asked along with them, such as a query
    return Receipt(
        verb=plan.task.verb,
        model=plan.model,
        rows=plan.progress.total,
        missing=plan.progress.missing,
        unique=unique,
        cached=unique - sum(plan.rows_of[number] > 0 for number in plan.unanswered),
        requests=len(requests),
        most_corrections=plan.task.most_corrections if isinstance(plan.task, CorrectedTask) else 0,
        rows_per_request=max((len(planned.numbers) for planned in requests), default=1),
        prompt_tokens=expected[0],
        completion_tokens_expected=expected[1],
        completion_tokens_most=most[1],
        rationale_tokens_expected=rationale_tokens * sum(len(planned.numbers) for planned in requests),
        are_tokens_exact=counter.is_exact,
        cost_usd_expected=price(expected_usage),
        cost_usd_most=price(most_usage),
        batch_cost_usd_expected=batch_price(expected_usage),
        batch_cost_usd_most=batch_price(most_usage),
        seconds=limiter.seconds_for(requests=len(requests), tokens=expected_usage.total_tokens),
        requests_per_minute=limiter.requests_per_minute,
        tokens_per_minute=limiter.tokens_per_minute,
        price_checked=known.checked,
        price_source=known.source,
    )

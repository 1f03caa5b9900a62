"""What the requests of a job cost, as lines of the ledger.

Promises: a line for each request that was answered or failed, at the batch price; nothing that was asked or answered is in it.
"""

from decimal import Decimal

from mistral_nb.backends.batch_api import BatchLine
from mistral_nb.engine.batch_store import JobRecord
from mistral_nb.engine.request_record import RequestRecord


def record_of(job: JobRecord, line: BatchLine, *, rows: int, cost_usd: Decimal | None) -> RequestRecord:
    """Return the ledger's record of one request of a job.

    How long the model took is not told, and how long the job waited would say nothing of it: the record has no latency.
    """
    choices = line.body.get("choices")
    finish_reason = choices[0].get("finish_reason") if isinstance(choices, list) and choices else None
    usage = line.usage
    return RequestRecord(
        began_unix_seconds=job.created_unix_seconds,
        door="batch",
        verb=job.verb,
        model=job.model,
        response_model=line.body.get("model") if line.is_answer else None,
        response_id=line.body.get("id") if line.is_answer else None,
        rows=rows,
        prompt_tokens=usage.prompt_tokens,
        cached_tokens=usage.cached_tokens,
        completion_tokens=usage.completion_tokens,
        cost_usd=cost_usd,
        finish_reason=finish_reason,
        error=None if line.is_answer else f"HTTP {line.status_code}",
    )

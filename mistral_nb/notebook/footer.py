"""What is said below an answer, and kept in the output's metadata.

Promises: pure; an unknown price is said, never guessed; an answer that is not whole is marked.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from mistral_nb.completion import Completion
from mistral_nb.counted import counted
from mistral_nb.notebook.conversations import SentTurns

METADATA_KEY = "mistral_nb"
INTERRUPTED = "interrupted"
_WHOLE = {"stop", "tool_calls"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What an answer cost: the price (None where it is unknown), and whether its tokens are estimates."""

    cost_usd: Decimal | None
    is_estimated: bool = False
    requests: int = 1


def footer_text(answer: Completion, bill: Bill, *, turns: SentTurns | None = None) -> str:
    """Return the line: model, tokens, cost, seconds, finish_reason."""
    usage = answer.usage
    about = "about " if bill.is_estimated else ""
    cached = f" ({usage.cached_tokens:,} cached)" if usage.cached_tokens else ""
    parts = [
        str(turns) if turns is not None else "",
        answer.model,
        f"{about}{counted(usage.prompt_tokens, 'token')} read{cached}, {about}{usage.completion_tokens:,} written",
        cost_text(bill.cost_usd),
        counted(bill.requests, "request") if bill.requests != 1 else "",
        seconds_text(answer),
        answer.finish_reason,
    ]
    return " · ".join(part for part in parts if part)


def metadata(answer: Completion, bill: Bill, *, turns: SentTurns | None = None) -> dict[str, Any]:
    """Return the same as data, as it is kept with the cell's output."""
    usage = answer.usage
    facts: dict[str, Any] = {
        "model": answer.model,
        "prompt_tokens": usage.prompt_tokens,
        "cached_tokens": usage.cached_tokens,
        "completion_tokens": usage.completion_tokens,
        "are_tokens_estimated": bill.is_estimated,
        "cost_usd": None if bill.cost_usd is None else f"{bill.cost_usd:f}",
        "requests": bill.requests,
        "first_token_seconds": _rounded(answer.first_token_seconds),
        "seconds": _rounded(answer.latency_seconds),
        "finish_reason": answer.finish_reason,
        "correlation_id": answer.correlation_id,
    }
    if turns is not None:
        facts |= {"session": turns.name, "turns_sent": turns.sent, "turns_left_out": turns.left_out}
    return {METADATA_KEY: facts}


def why_incomplete(answer: Completion, *, limit_option: str = "--max-tokens") -> str:
    """Return what the reader must know of how the answer ended; nothing when it is whole.

    `limit_option` is what the reader raises for a longer answer.
    """
    if answer.finish_reason == "length":
        return f"Cut at {counted(answer.usage.completion_tokens, 'token')}; raise {limit_option} for more."
    if answer.is_truncated:
        return f"Cut: the model's window is full (finish_reason {answer.finish_reason!r}); ask for less, or send less."
    if answer.finish_reason == INTERRUPTED:
        return "Stopped before the end."
    if answer.finish_reason in _WHOLE:
        return "" if answer.text.strip() else f"{answer.model} gave an empty answer."
    return f"Refused or broken off: {answer.model} ended with finish_reason {answer.finish_reason!r}."


def cost_text(cost_usd: Decimal | None) -> str:
    """Return the amount in USD: cents from a dollar up, four decimals below, two digits of what is less than that."""
    if cost_usd is None:
        return "unknown price"
    if not cost_usd:
        return "$0"
    decimals = 2 if cost_usd >= 1 else max(4, 1 - cost_usd.adjusted())
    return f"${cost_usd.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP):,f}"


def seconds_text(answer: Completion) -> str:
    """Return the seconds to the first token and in all."""
    whole = f"{answer.latency_seconds:.1f} s"
    return (
        whole
        if answer.first_token_seconds is None
        else f"first token after {answer.first_token_seconds:.1f} s, {whole}"
    )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)

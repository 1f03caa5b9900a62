"""A Completion as a cell's output: the answer with its footer.

Promises: the same looks as an answer that a cell has streamed.
"""

from typing import Any

from mistral_nb.completion import Completion
from mistral_nb.engine.session import Session
from mistral_nb.notebook.display import answer_bundle
from mistral_nb.notebook.footer import Bill, footer_text, metadata, why_incomplete


def completion_bundle(answer: Completion, session: Session) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the MIME bundle and the metadata that show an answer; its price is that of the session's endpoint."""
    bill = Bill(cost_usd=session.cost_usd(answer.model, answer.usage))
    bundle = answer_bundle(answer.text, note=why_incomplete(answer), footer=footer_text(answer, bill))
    return bundle, metadata(answer, bill)

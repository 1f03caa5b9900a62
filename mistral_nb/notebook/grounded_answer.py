"""An answer with the rows that it was made from.

Promises: the model's text is shown escaped; the rows are the reader's own, as they are in the column.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from mistral_nb.notebook.display import MimeBundle


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundedAnswer:
    """What ``df.mistral.answer`` returns.

    Attributes
    ----------
    text
        The answer; numbers in brackets are those of `sources`.
    sources
        Frame of the texts that the model read, nearest first, with the index labels of their rows (of equal ones the first): number
        (int64, from 1), the text under the column's name ("text" where it has none, or the name of another of these), similarity
        to the question (float64), rows with this text (int64), position of the row (int64), is_cited (bool).
    cited
        Those of the sources that the answer names.
    question, model
        What was asked of whom.
    cost_usd
        Price of the answer and of the vectors that were not kept from before; None where a price is unknown.

    Examples
    --------
    >>> import mistral_nb
    >>> tickets = mistral_nb.load_sample("tickets").head(6)
    >>> answer = tickets.mistral.answer("What is wrong with deliveries?", "text", k=3, max_words=20)
    >>> len(answer.sources), answer.sources.columns.tolist()
    (3, ['number', 'text', 'similarity', 'rows', 'position', 'is_cited'])
    """

    text: str
    sources: "pd.DataFrame" = field(compare=False)
    cited: "pd.DataFrame" = field(compare=False)
    question: str
    model: str
    cost_usd: Decimal | None = None

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"{self.text}\n\n{self._footer}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> "MimeBundle":
        from mistral_nb.notebook.display import answer_bundle

        return answer_bundle(self.text, footer=self._footer)

    @property
    def _footer(self) -> str:
        cited = ", ".join(map(str, self.cited["number"]))
        rests_on = f"names {cited} of" if cited else "names none of"
        read = "the text" if len(self.sources) == 1 else f"the {len(self.sources)} texts"
        return f"{self.model} {rests_on} {read} it read; .sources has them."

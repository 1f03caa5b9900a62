"""One text in, one validated object out.

Keeps to itself: the checks of what is given.
Promises: the text is data, and instructions in it are not followed; what the text does not say is not asked to be invented.
"""

from typing import Any

from mistral_nb.answer_schema import answer_schema
from mistral_nb.engine.chat_request import shortened
from mistral_nb.engine.current import current_session
from mistral_nb.engine.occasion import asked_through
from mistral_nb.errors import EmptyPrompt, InvalidOption
from mistral_nb.tasks.extract import INSTRUCTIONS


def extract(
    text: str,
    schema: Any,
    *,
    model: str | None = None,
    instructions: str | None = None,
    max_tokens: int | None = None,
) -> Any:
    """Return what a text says, in the form of a schema.

    Parameters
    ----------
    text
        One text.
    schema
        A pydantic model, a TypedDict, a dataclass, an Enum, ``list[Model]``, ``Literal["a", "b"]``, a JSON schema as a dict; in
        short a dict of names and types, or a list of names.
    model
        Name, alias or short name; default: the settings' model.
    instructions
        What to look for, where the schema's names and descriptions don't say it.
    max_tokens
        Longest answer; left out, the model's own default holds.

    Returns
    -------
    Any
        What `schema` describes: an instance of the model or dataclass, a dict for a TypedDict, a member of the Enum, a list of
        models, a plain value for a JSON schema.

    Raises
    ------
    InvalidSchema
        The schema is none, or can't be asked for.
    EmptyPrompt
        There is no text.
    InvalidAnswer
        The model was asked three times and never gave an answer that fits; `text`, `errors` and `attempts` tell.
    TruncatedAnswer
        The answer was cut.

    Examples
    --------
    >>> import mistral_nb
    >>> from pydantic import BaseModel
    >>> class Order(BaseModel):
    ...     order_number: int
    ...     product: str | None = None
    >>> order = mistral_nb.extract("Order 4711, a blue lamp, has not come yet.", Order)
    >>> isinstance(order.order_number, int)
    True
    """
    form = answer_schema(schema)
    if not isinstance(text, str):
        raise InvalidOption(f"The text is {shortened(text)}.", "Give one text, e.g. df['text'].iloc[0].")
    if not text.strip():
        raise EmptyPrompt("The text is empty.", "Give the text to extract from.")
    if instructions is not None and not isinstance(instructions, str):
        raise InvalidOption(
            f"instructions is {shortened(instructions)}.", "Give a text, e.g. instructions='Prices in euros.'."
        )
    with asked_through("session", verb="extract"):
        answer = current_session().complete(
            text,
            schema=form,
            model=model,
            system=f"{INSTRUCTIONS}\n\n{instructions}" if instructions else INSTRUCTIONS,
            temperature=0.0,
            max_tokens=max_tokens,
        )
    return answer.parsed

"""How much a model reads at once.

Promises: a number that is published or ours, None where nobody said one; nothing is asked over the network.
"""

from mistral_nb import catalogue
from mistral_nb.engine.session import Session
from mistral_nb.settings import is_local


def window_tokens(model: str, session: Session) -> int | None:
    """Return the tokens of prompt and answer together that the model holds; None where that is not known."""
    if is_local(model):
        from mistral_nb.backends.embedded.engine import CONTEXT_TOKENS
        from mistral_nb.backends.embedded.weights import LOCAL_MODELS

        local = LOCAL_MODELS.get(model)
        return CONTEXT_TOKENS if local is None else min(CONTEXT_TOKENS, local.context_tokens)
    if not session.settings.is_mistrals_own:
        return None
    found = catalogue.find_model(model)
    return None if found is None else found.context_tokens

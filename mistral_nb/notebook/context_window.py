"""How much a model reads at once, and how much of a conversation that is.

Keeps to itself: how much of the window is kept free for the answer.
Promises: a window that is published or ours, None where nobody said one; nothing is asked over the network.
"""

from collections.abc import Sequence
from dataclasses import replace

from mistral_nb import catalogue
from mistral_nb.completion import CompletionRequest
from mistral_nb.engine.session import Session
from mistral_nb.engine.tokens import estimated_tokens
from mistral_nb.notebook.conversations import Exchange, latest_that_fit
from mistral_nb.settings import is_local

# Of the window, what is kept free for an answer of unknown length.
_ANSWER_SHARE = 4
_MOST_ANSWER_TOKENS = 4_096
# Estimates are good enough until the window is this full.
_ESTIMATE_IS_ENOUGH = 0.4


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


def exchanges_that_fit(
    exchanges: Sequence[Exchange], request: CompletionRequest, session: Session
) -> Sequence[Exchange]:
    """Return the pinned exchanges and the latest of the others that fit into the model's window beside a request.

    Parameters
    ----------
    exchanges
        The conversation so far, oldest first.
    request
        The question, with the system message, tools and schema that go along with it.
    session
        Which is asked: it knows the model and counts the tokens.
    """
    window = window_tokens(request.model, session)
    if window is None or not exchanges:
        return exchanges
    room = window - (request.max_tokens or min(_MOST_ANSWER_TOKENS, window // _ANSWER_SHARE))
    bare = replace(request, tools=(), tool_choice=None)
    earlier = tuple(message for exchange in exchanges for message in exchange.messages)
    guess = sum(map(estimated_tokens, replace(request, messages=(*earlier, *request.messages)).texts))
    if guess < _ESTIMATE_IS_ENOUGH * room:
        return exchanges
    counter = session.token_counter(request.model)  # takes a second to load, so only where it matters
    return latest_that_fit(
        exchanges,
        room_tokens=room - counter.prompt_tokens(request),
        count=lambda message: counter.prompt_tokens(replace(bare, messages=(message,))),
    )

"""Functions of the user's that are told of every request.

Promises: a function that raises is named once and loses nothing but its own call.
"""

import logging
import threading
from collections.abc import Callable

from mistral_nb.engine.open_request import EndedRequest
from mistral_nb.engine.request_record import RequestRecord
from mistral_nb.errors import InvalidOption

Listener = Callable[[RequestRecord], object]

_logger = logging.getLogger(__name__)
_lock = threading.Lock()
_listeners: list[Listener] = []
_failed: set[int] = set()


def on_event(listener: Listener) -> Callable[[], None]:
    """Have a function called with the record of each request that ends, of every door and session of this kernel.

    Parameters
    ----------
    listener
        Takes a `RequestRecord`: who asked whom, tokens, cost, seconds, attempts, error; never a text. Rows that took a kept answer
        are one record for each run, with `from_cache`. It is called between requests, in a thread of the package: it should be
        quick, and can't ask a model itself.

    Returns
    -------
    function
        Call it, and the listener is told no more.

    Raises
    ------
    InvalidOption
        The listener can't be called.

    Examples
    --------
    >>> import mistral_nb
    >>> costs = []
    >>> stop = mistral_nb.on_event(lambda record: costs.append(record.cost_usd))
    >>> answer = mistral_nb.session().complete("Say hello.", max_tokens=5)
    >>> stop()
    >>> costs
    [Decimal('0')]
    """
    if not callable(listener):
        raise InvalidOption(f"The listener is {listener!r}.", "Give a function of one argument, e.g. on_event(print).")

    def stop() -> None:
        with _lock:
            if listener in _listeners:
                _listeners.remove(listener)

    with _lock:
        _listeners.append(listener)
        _failed.discard(id(listener))
    return stop


def tell_listeners(ended: EndedRequest) -> None:
    """Call each function that wants to know."""
    for listener in tuple(_listeners):
        try:
            listener(ended.record)
        except Exception as error:  # noqa: BLE001  # whatever the user's own code raises
            if id(listener) not in _failed:
                _failed.add(id(listener))
                _logger.warning("on_event: %r raised %s: %s", listener, type(error).__name__, error)

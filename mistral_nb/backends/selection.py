"""Which backend these settings mean.

Promises: the choice is explicit and never changes by itself: a hosted backend is never replaced by the embedded one.
"""

from typing import Literal

from mistral_nb.backends.backend import Backend
from mistral_nb.settings import Settings


def backend_for(kind: Literal["hosted", "embedded"], settings: Settings) -> Backend:
    """Return a new backend of that kind; nothing is connected or started before its first request."""
    if kind == "embedded":
        from mistral_nb.backends.embedded.backend import EmbeddedBackend

        return EmbeddedBackend(settings.home, model_path=settings.model_path)

    from mistral_nb.backends.hosted import HostedBackend

    return HostedBackend(
        endpoint=settings.server_url, api_key=settings.api_key, timeout_seconds=settings.timeout_seconds
    )

"""Which backend these settings mean.

Promises: the choice is explicit and never changes by itself: a hosted backend is never replaced by the embedded one. Who asks a
hosted model while the SDK prints what is sent is warned.
"""

import os
import warnings
from typing import Literal

from mistral_nb.backends.backend import Backend
from mistral_nb.settings import Settings


def backend_for(kind: Literal["hosted", "embedded"], settings: Settings) -> Backend:
    """Return a new backend of that kind; nothing is connected or started before its first request."""
    if kind == "embedded":
        from mistral_nb.backends.embedded.backend import EmbeddedBackend

        return EmbeddedBackend(settings.home, model_path=settings.model_path)

    from mistral_nb.backends.hosted import HostedBackend
    from mistral_nb.backends.sdk_client import DEBUG_VARIABLE

    if os.environ.get(DEBUG_VARIABLE):
        warnings.warn(
            f"{DEBUG_VARIABLE} is set: the SDK prints every request and answer, texts included. "
            f"Unset it where that is not meant: import os; del os.environ[{DEBUG_VARIABLE!r}]",
            UserWarning,
            stacklevel=2,
        )
    return HostedBackend(
        endpoint=settings.server_url, api_key=settings.api_key, timeout_seconds=settings.timeout_seconds
    )

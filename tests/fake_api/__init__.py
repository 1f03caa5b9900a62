"""An HTTP server on loopback that behaves like api.mistral.ai, and rejects what api.mistral.ai would reject.

Promises: `FakeApi` is the server, `Fault` is trouble on order, `Limit` and `KnownModel` describe other plans and
models; the answers follow the rules in `rules`. From a shell: ``python -m tests.fake_api --help``.
"""

from tests.fake_api.faults import Fault
from tests.fake_api.known_models import KNOWN_MODELS, KnownModel
from tests.fake_api.limits import Limit
from tests.fake_api.recorder import SeenRequest, Stats
from tests.fake_api.server import FakeApi

__all__ = ["KNOWN_MODELS", "FakeApi", "Fault", "KnownModel", "Limit", "SeenRequest", "Stats"]

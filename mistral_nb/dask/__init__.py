"""``import mistral_nb.dask`` gives Dask's DataFrames and Series the accessor ``.mistral``, with the verbs of pandas' one.

Promises: the verbs are lazy; what is not installed is said with the line that installs it.
"""

from mistral_nb.errors import ExtraMissing

try:
    import dask.dataframe  # noqa: F401  # only looked for: both are of the extra
    import distributed  # noqa: F401
except ModuleNotFoundError as missing:
    raise ExtraMissing(
        f"{missing.name} is not installed, without which there are no verbs on Dask's frames.",
        'pip install "mistral_nb[dask]"',
    ) from None

from mistral_nb.dask.accessor import FrameVerbs, SeriesVerbs
from mistral_nb.dask.local_stop import watch_computations
from mistral_nb.dask.sharing import UnencryptedKeyWarning, share_session

__all__ = ["FrameVerbs", "SeriesVerbs", "UnencryptedKeyWarning", "share_session"]

watch_computations()

"""``import mistral_nb.dask`` gives Dask's DataFrames and Series the accessor ``.mistral``, with the verbs of pandas' one.

Promises: the verbs are lazy; what is not installed is said with the line that installs it.
"""

try:
    import dask.dataframe  # noqa: F401  # only looked for: both are of the extra
    import distributed  # noqa: F401
except ModuleNotFoundError as missing:
    raise ImportError(
        f'mistral_nb.dask needs {missing.name}, which is not installed: pip install "mistral_nb[dask]"'
    ) from missing

from mistral_nb.dask.accessor import FrameVerbs, SeriesVerbs
from mistral_nb.dask.local_stop import watch_computations
from mistral_nb.dask.sharing import UnencryptedKeyWarning, share_session

__all__ = ["FrameVerbs", "SeriesVerbs", "UnencryptedKeyWarning", "share_session"]

watch_computations()

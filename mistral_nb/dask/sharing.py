"""Handing the key of this kernel to the workers of a cluster.

Promises: the key goes to the scheduler's and the workers' memory, over the cluster's own connections, and nowhere else; it is said
where these are not encrypted.
"""

import ipaddress
import warnings
from typing import Any
from urllib.parse import urlsplit

from distributed import Client
from distributed.protocol.serialize import to_serialize

from mistral_nb.dask.call import this_process
from mistral_nb.dask.plugins import ClusterPlugin, HandedKey, KeyPlugin
from mistral_nb.errors import SET_KEY_LINE, MissingKey
from mistral_nb.readers_code import readers_stacklevel
from mistral_nb.settings import current_settings


class UnencryptedKeyWarning(UserWarning):
    """A key was handed over a connection that others on the network can read."""


def share_session(client: Client) -> None:
    """Hand this kernel's key to the workers of a cluster, for the columns that this kernel computes there.

    What else was set here goes along with each call anyway. Without this, workers read ``MISTRAL_API_KEY`` from their own
    environment, which is the better way where you start them yourself. The key is kept in memory, by the scheduler and the workers;
    it is in no graph, no task's name, no plugin's pickle and no log. Workers that join later get it, too. Call it again after the
    scheduler was started anew, or with another key.

    Parameters
    ----------
    client
        Of the cluster. Its connections should be encrypted (``distributed.Security``): if they are not, and leave this machine,
        there is an `UnencryptedKeyWarning`.

    Raises
    ------
    MissingKey
        There is no key here.

    Examples
    --------
    >>> import distributed, mistral_nb.dask
    >>> with distributed.Client(processes=False, dashboard_address=":0") as client:
    ...     mistral_nb.dask.share_session(client)
    Traceback (most recent call last):
        ...
    mistral_nb.errors.MissingKey: There is no key to hand over.
    import os; os.environ["MISTRAL_API_KEY"] = "…"
    """
    key = current_settings().api_key
    if key is None:
        raise MissingKey("There is no key to hand over.", SET_KEY_LINE)
    scheduler: Any = client.scheduler
    if not _is_private(scheduler.address):
        warnings.warn(
            f"The connection to {scheduler.address} is not encrypted: others on the network can read the key.\n"
            "Start scheduler, workers and client with distributed.Security(…), or set MISTRAL_API_KEY where the workers run.",
            UnencryptedKeyWarning,
            stacklevel=readers_stacklevel(),
        )
    for plugin in (ClusterPlugin(), KeyPlugin()):
        client.register_plugin(plugin, name=plugin.name)
    client.sync(scheduler.mistral_nb_keys, caller=this_process(), key=to_serialize(HandedKey(key.reveal())))


def _is_private(address: str) -> bool:
    """Whether nobody else can read what goes to an address."""
    parts = urlsplit(address)
    if parts.scheme in ("tls", "wss", "inproc", "ucxs"):
        return True
    try:
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return parts.hostname == "localhost"

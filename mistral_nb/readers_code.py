"""Which lines of a stack are the reader's own: what tracebacks show and warnings point at."""

import contextlib
import inspect
import os
import sysconfig
from pathlib import Path

_PACKAGE = str(Path(__file__).parent) + os.sep
# `with` blocks of this package lead through Python's own lines.
_OURS = (_PACKAGE, contextlib.__file__)


def is_readers_file(file_name: str) -> bool:
    """Whether a file is the reader's own code: not installed, not Python's, not this package's."""
    installed = {"site-packages", "dist-packages"} & set(Path(file_name).parts)
    return not installed and not file_name.startswith((_PACKAGE, sysconfig.get_path("stdlib") + os.sep, "<frozen"))


def readers_stacklevel() -> int:
    """Return how many frames up the first line outside of this package is, for a warning that the caller raises.

    Python 3.12 has `skip_file_prefixes` for it, which 3.11 lacks.
    """
    level, frame = 0, inspect.currentframe()
    while frame is not None and frame.f_code.co_filename.startswith(_OURS):
        level, frame = level + 1, frame.f_back
    return level  # the warning itself is raised one frame below, where the count began

"""What a run over a file has done so far, beside the file that it will write.

Keeps to itself: the folder, its name and what is in it.
Promises: a part is there whole or not at all, also when the process is killed; what was spent is written down before the next
request; runs that ask something else have a folder of their own.
"""

import hashlib
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

_FAILED = b"mistral_nb.failed_rows"
_UNKNOWN = "?"


class Unfinished:
    """The parts of one run.

    Parameters
    ----------
    target
        The file that will be written.
    identity
        What the parts depend on.
    """

    def __init__(self, target: Path, identity: str) -> None:
        digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
        self._target = target
        self._folder = target.parent / f".{target.name}.{digest}.unfinished"

    def begin(self) -> None:
        """Make the folder, where it is not there from before."""
        self._folder.mkdir(exist_ok=True)
        for left in self._folder.glob("*.tmp"):
            left.unlink()

    def failed_rows(self, number: int) -> int | None:
        """Return how many rows of a part failed; None where the part is not done."""
        import pyarrow.parquet as pq

        with suppress(FileNotFoundError):
            return int((pq.read_schema(self._part(number)).metadata or {}).get(_FAILED, b"0"))
        return None

    def keep(self, number: int, values: "pa.Table", *, failed_rows: int) -> None:
        """Keep the values of a part."""
        import pyarrow.parquet as pq

        told = values.replace_schema_metadata({_FAILED: str(failed_rows).encode()})
        written_whole(self._part(number), lambda path: pq.write_table(told, path))

    def part(self, number: int) -> "pa.Table":
        """Return the values of a part that is done."""
        import pyarrow.parquet as pq

        return pq.read_table(self._part(number))

    def spend(self, cost_usd: Decimal | None) -> None:
        """Write down what a request cost; None where that is not known."""
        with (self._folder / "spent_usd").open("a", encoding="ascii") as file:
            file.write(f"{_UNKNOWN if cost_usd is None else cost_usd}\n")

    def spent_usd(self) -> tuple[Decimal, bool]:
        """Return what all requests have cost so far, by whichever process, and whether that is all: the rest is not known."""
        try:
            lines = (self._folder / "spent_usd").read_text(encoding="ascii").splitlines(keepends=True)
        except FileNotFoundError:
            return Decimal(0), True
        whole = [line.strip() for line in lines if line.endswith("\n")]  # a kill may have cut the last
        return sum((Decimal(line) for line in whole if line != _UNKNOWN), Decimal(0)), _UNKNOWN not in whole

    def end(self) -> None:
        """Remove the folder, and those of other runs for the same file, which is written now."""
        for folder in self._target.parent.glob(f".{self._target.name}.*.unfinished"):
            shutil.rmtree(folder, ignore_errors=True)

    def _part(self, number: int) -> Path:
        return self._folder / f"{number:08}.parquet"


def written_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Have a file written beside its place and put there when it is on the disk."""
    beside = path.with_name(f".{path.name}.tmp" if not path.name.startswith(".") else f"{path.name}.tmp")
    try:
        write(beside)
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise

"""What was found, line by line, as text and as JSON.

Promises: the order of the lines is that of the checks; the exit code is 1 where a line failed, 0 otherwise.
"""

import json
from dataclasses import asdict, dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]
_GRAVEST: tuple[Status, ...] = ("fail", "warn", "ok")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line.

    Attributes
    ----------
    name
        What was looked at, e.g. "clock".
    status
        "fail" where something does not work, "warn" where something is missing, risky or could not be checked.
    found
        What was found, in words.
    fix
        What to do, ready to paste where there is such a line; "" where there is nothing to do.
    """

    name: str
    status: Status
    found: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All lines; `str` gives them as text."""

    findings: tuple[Finding, ...]

    @property
    def status(self) -> Status:
        """The gravest status of all lines."""
        statuses = {finding.status for finding in self.findings}
        return next((status for status in _GRAVEST if status in statuses), "ok")

    @property
    def exit_code(self) -> int:
        """Of a command that reports this: 1 where something failed."""
        return int(self.status == "fail")

    def to_json(self) -> str:
        """Return status and findings as JSON, indented."""
        data = {"status": self.status, "findings": [asdict(finding) for finding in self.findings]}
        return json.dumps(data, ensure_ascii=False, indent=2)

    def __str__(self) -> str:
        width = max((len(finding.name) for finding in self.findings), default=0)
        indent = " " * (6 + width)
        lines = []
        for finding in self.findings:
            lines.append(
                f"{finding.status:<4}  {finding.name:<{width}}  {finding.found}".replace("\n", f"\n{indent}  ")
            )
            if finding.fix:
                lines.append(f"{indent}  → {finding.fix}".replace("\n", f"\n{indent}    "))
        return "\n".join(lines)

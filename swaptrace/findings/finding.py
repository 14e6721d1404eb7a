"""A finding: what is so, how grave it is, the numbers behind it, and what to do.

Severities are those of monitoring: *info* is worth knowing and needs nothing done, *warning* should be mended,
*critical* should be mended now.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import IntEnum
from typing import Any

Number = int | float | None


class Severity(IntEnum):
    INFO = 0
    WARNING = 1
    CRITICAL = 2


@dataclass(frozen=True)
class Advice:
    """Something to do: a sentence, and the commands that do it, for one shell as root that stops at an error (sh -e).

    cures: the finding is gone afterwards. Where it is not, what is stale now is gone, and the cause stays.
    """

    sentence: str
    commands: tuple[str, ...] = ()
    cures: bool = True


@dataclass(frozen=True)
class Finding:
    """subject: the swap area or zram device. evidence: numbers by name; the unit is in the name (_bytes, _s, else pages
    or counts). advice: the remedy first, then what else can be done."""

    id: str
    severity: Severity
    subject: str
    sentence: str
    evidence: dict[str, Number] = field(default_factory=dict)
    advice: tuple[Advice, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "severity": self.severity.name.lower()}

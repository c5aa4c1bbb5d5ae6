"""What ``validate`` tells: one fault at one place, with its weight."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from outcrop.data.summary import printable

Severity = Literal["error", "warning", "advice"]
LONGEST = 2000
ORDER: tuple[Severity, ...] = ("error", "warning", "advice")


@dataclass(frozen=True)
class Finding:
    """``error``: the data must not be used; ``warning``: something is missing; ``advice``: it could be better."""

    severity: Severity
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.severity}: {printable(self.where, limit=LONGEST)}: {printable(self.what, limit=LONGEST)}"

    def as_dict(self) -> dict[str, str]:
        return {"severity": self.severity, "where": self.where, "what": self.what}


def ranked(findings: Sequence[Finding]) -> list[Finding]:
    """Errors first."""
    return sorted(findings, key=lambda finding: ORDER.index(finding.severity))

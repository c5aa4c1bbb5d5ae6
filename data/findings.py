"""What ``validate`` tells: one fault at one place, with its weight."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "advice"]
ORDER: tuple[Severity, ...] = ("error", "warning", "advice")


@dataclass(frozen=True)
class Finding:
    """``error``: the data must not be used; ``warning``: something is missing; ``advice``: it could be better."""

    severity: Severity
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.severity}: {printable(self.where)}: {printable(self.what)}"

    def as_dict(self) -> dict[str, str]:
        return {"severity": self.severity, "where": self.where, "what": self.what}


def ranked(findings: Sequence[Finding]) -> list[Finding]:
    """Errors first."""
    return sorted(findings, key=lambda finding: ORDER.index(finding.severity))


def printable(text: str) -> str:
    """``text`` without what moves a terminal's cursor, colours it or turns its direction: shown as escapes."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)

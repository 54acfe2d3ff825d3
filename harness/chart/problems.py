"""What every check reports: where, what, and how to mend it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

ERROR = "error"
WARNING = "warning"


@dataclass(frozen=True)
class Problem:
    """One broken rule.

    `path` is a values key (`workers.io.pool`) or an object's field (`Deployment/x spec.replicas`); `source` is the
    file and line that set it, where known.
    """

    path: str
    message: str
    fix: str = ""
    severity: str = ERROR
    rule: str = ""
    source: str | None = None

    def text(self) -> str:
        """Return the problem as one line."""
        origin = f" ({self.source})" if self.source else ""
        fix = f"; {self.fix}" if self.fix else ""
        subject = f"{self.path}{origin}: " if self.path or origin else ""
        return f"{subject}{self.message}{fix}"

    def to_dict(self) -> dict[str, str | None]:
        """Return the problem for a JSON document."""
        return asdict(self)


def errors(problems: Iterable[Problem]) -> list[Problem]:
    """Return the problems that make the input unusable, leaving out warnings."""
    return [problem for problem in problems if problem.severity == ERROR]

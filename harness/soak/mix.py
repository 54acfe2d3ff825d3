"""What a soak is made of: which task stands behind each number, and under which id. Pure.

A task is known by its number, from 0; id and kind follow from it, so nobody has to keep a list of a million ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

ID_DIGITS = 9
Effect = Literal["row", "mail", "file"]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of task: how many of each 200, what it is, and what proves it done.

    For effect `row` that is `rows` rows of `table` with its id.
    """

    name: str
    title: str
    share: int
    task: str
    effect: Effect
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    table: str = ""
    rows: int = 1


# 90 % short HTTP and rows, 9 % mail, 1 % documents.
KINDS = (
    Kind(
        name="http",
        title="a call of a service, then a row",
        share=40,
        task="execute_student_code_task",
        effect="row",
        table="code_runs",
    ),
    Kind(
        name="rows",
        title="a row",
        share=140,
        task="process_exam_auto_submit",
        effect="row",
        kwargs={"students": 1},
        table="submissions",
    ),
    Kind(name="mail", title="a mail", share=18, task="forgot_password_mail", effect="mail"),
    Kind(name="pdf", title="a PDF written", share=1, task="generate_order_copy_pdf_task", effect="file"),
    Kind(
        name="upload",
        title="a spreadsheet taken in",
        share=1,
        task="bulk_upload_questions_task",
        effect="row",
        table="upload_progress",
    ),
)
PERIOD = sum(kind.share for kind in KINDS)
SERVICES: Mapping[str, Mapping[str, float]] = {
    "smtp": {"latency_seconds": 0.05},
    "judge0": {"latency_seconds": 0.05},
    "storage": {"latency_seconds": 0.02},
}
"""How the stand-in services behave: short latencies, no failures of their own."""


class Shuffle(Protocol):
    """What is needed of a random generator; `random.Random` has it."""

    def shuffle(self, order: list[int]) -> None:
        """Put a list into an order by chance."""


@dataclass(frozen=True)
class Mix:
    """The tasks of one run: how many, and the kind of each, which repeats after `PERIOD` of them."""

    tasks: int
    key: str  # begins every id of the run
    pattern: bytes  # the kinds' positions in KINDS

    def id_of(self, number: int) -> str:
        """Return a task's id."""
        return f"{self.key}-{number:0{ID_DIGITS}d}"

    def number_of(self, task_id: str) -> int | None:
        """Return the number behind an id, None for an id that is not of this run."""
        key, _, digits = task_id.rpartition("-")
        if key != self.key or len(digits) != ID_DIGITS or not (digits.isascii() and digits.isdigit()):
            return None
        number = int(digits)
        return number if number < self.tasks else None

    def kind_of(self, number: int) -> Kind:
        """Return what a number stands for."""
        return KINDS[self.pattern[number % PERIOD]]

    def kinds(self) -> bytes:
        """Return the kind of every number, as positions in KINDS."""
        return (self.pattern * (self.tasks // PERIOD + 1))[: self.tasks]


def make(tasks: int, *, key: str, rng: Shuffle) -> Mix:
    """Return the mix of a run: each kind by its share, in an order by chance."""
    order = [position for position, kind in enumerate(KINDS) for _ in range(kind.share)]
    rng.shuffle(order)
    return Mix(tasks=tasks, key=key, pattern=bytes(order))

"""What runs said of claims, kept when the runs themselves are gone. Pure.

Making all the runs takes hours, on a machine that may be another one tomorrow, and a run's folder is large. So what was
read from each is kept, beside the question that it answers: when claims.yaml asks something else, it answers no more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, replace
from typing import Any

from harness.claims.catalogue import Claim, Runs
from harness.claims.figures import NEVER, Figure
from harness.claims.verdicts import Reading, Run
from harness.errors import InputError

FORMAT_VERSION = 1
NEVER_CAME = "never"
"""Stands for NEVER in JSON, which has no endless numbers."""


@dataclass(frozen=True)
class KeptRun:
    """One run: its result file below the reports, when it was made (seconds since the epoch), of which commit."""

    name: str
    made_at: float | None
    commit: str | None
    readings: Mapping[str, Reading]  # by question

    def reading(self, runs: Runs, figure: Figure) -> Reading | None:
        """Return what was read from it for a figure of such runs, None where it is not one of them."""
        return self.readings.get(question(runs, figure))

    def without(self, answered: Set[str]) -> KeptRun:
        """Return the run with what it says of other questions than these."""
        return replace(self, readings={key: found for key, found in self.readings.items() if key not in answered})


def question(runs: Runs, figure: Figure) -> str:
    """Return a name of what is asked, which changes with anything that the answer depends on."""
    asked = {"files": sorted(runs.files), "where": dict(runs.where), "figure": asdict(figure)}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:12]


def questions(claims: Iterable[Claim]) -> dict[str, tuple[Runs, Figure]]:
    """Return everything that the claims ask of runs, by its name."""
    asked = [(runs, test.figure) for claim in claims for test in claim.tests for runs in (test.runs, test.than) if runs]
    return {question(runs, figure): (runs, figure) for runs, figure in asked}


def keep(claims: Iterable[Claim], runs: Iterable[Run]) -> tuple[KeptRun, ...]:
    """Return what the runs say of the claims; runs that say nothing are left out."""
    asked = questions(claims)
    kept = (KeptRun(run.name, run.made_at, run.commit, dict(_read(run, asked))) for run in runs)
    return tuple(one for one in kept if one.readings)


def renewed(kept: Sequence[KeptRun], fresh: Sequence[KeptRun]) -> tuple[KeptRun, ...]:
    """Return the fresh runs, and of those of before what no fresh one answers."""
    answered = {key for run in fresh for key, found in run.readings.items() if found.measured is not None}
    left = (run.without(answered) for run in kept)
    together = [*(run for run in left if run.readings), *fresh]
    return tuple(sorted(together, key=lambda run: (run.made_at or 0.0, run.name)))


def as_document(kept: Sequence[KeptRun]) -> dict[str, Any]:
    """Return the JSON form."""
    return {
        "version": FORMAT_VERSION,
        "runs": [
            {
                "file": run.name,
                "made_at": run.made_at,
                "commit": run.commit,
                "readings": {
                    key: {"measured": _told(found.measured), "foretold": _told(found.foretold)}
                    for key, found in sorted(run.readings.items())
                },
            }
            for run in kept
        ],
    }


def from_document(document: Any, *, source: str) -> tuple[KeptRun, ...]:
    """Build from the JSON form. Raises InputError naming the file, and the fix."""
    if not isinstance(document, Mapping) or document.get("version") != FORMAT_VERSION:
        raise InputError(f"{source}: no record of runs of this version; move it away and run `make claims` again")
    try:
        return tuple(
            KeptRun(
                str(run["file"]),
                run["made_at"],
                run["commit"],
                {
                    key: Reading(_number(found["measured"]), _number(found["foretold"]))
                    for key, found in run["readings"].items()
                },
            )
            for run in document["runs"]
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"{source}: {error} is missing or malformed; take it from version control again") from error


def _read(run: Run, asked: Mapping[str, tuple[Runs, Figure]]) -> Iterator[tuple[str, Reading]]:
    for key, (runs, figure) in asked.items():
        found = run.reading(runs, figure)
        if found is not None and found != Reading(None, None):
            yield key, found


def _told(value: float | None) -> float | str | None:
    return NEVER_CAME if value == NEVER else value


def _number(value: Any) -> float | None:
    if value == NEVER_CAME:
        return NEVER
    return None if value is None else float(value)

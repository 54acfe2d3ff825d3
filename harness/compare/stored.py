"""A comparison that was made, read from its folder: its result.json and the results of its runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.compare.budget import Budget
from harness.compare.summary import AFTER, BEFORE, FORMAT_VERSION, Bought, Compared, Comparison, Run
from harness.errors import InputError
from harness.simulation.cost import Prices
from harness.spike import result


def read(directory: Path) -> Comparison:
    """Return the comparison. Raises InputError where it has no result, or a run is gone or cannot be read."""
    path = directory / result.FILE_NAME
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(
            f"{directory}: no scenario has a run on both sides yet; go on with it: harness compare --resume {directory}"
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON: {error}") from error
    try:
        if document["version"] != FORMAT_VERSION:
            raise InputError(f"{path}: version {document['version']}; this harness reads {FORMAT_VERSION}")
        return _comparison(document, directory)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: no comparison's result: {type(error).__name__}: {error}") from error


def _comparison(document: Mapping[str, Any], directory: Path) -> Comparison:
    return Comparison(
        name=document["comparison"],
        command=document["command"],
        runtime=document["runtime"],
        budget=Budget(**document["budget"]),
        prices=Prices(**document["prices"]),
        bought={
            name: Bought(**{**side, "requested": Budget(**side["requested"])})
            for name, side in document["sides"].items()
        },
        compared=tuple(
            Compared(
                scenario=name,
                before=_runs(scenario["runs"][BEFORE], directory),
                after=_runs(scenario["runs"][AFTER], directory),
            )
            for name, scenario in document["scenarios"].items()
        ),
    )


def _runs(runs: Sequence[Mapping[str, Any]], directory: Path) -> tuple[Run, ...]:
    return tuple(
        Run(path=run["path"], result=result.read(directory / run["path"]), figures=run["figures"]) for run in runs
    )

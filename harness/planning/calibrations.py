"""Where calibrations are kept, and the place a runtime's name stands for."""

from __future__ import annotations

import json
from pathlib import Path

from harness import tools
from harness.cluster.fit import this_machine
from harness.cluster.kindconfig import WORKERS
from harness.errors import InputError
from harness.files import write_atomically
from harness.planning import place
from harness.planning.figures import Figures, assumed
from harness.planning.place import Place
from harness.spike import facts


def default_path(runtime: str) -> Path:
    """Return where a runtime's calibration is kept."""
    return tools.cache_home() / f"calibration-{runtime}.json"


def load(path: Path | None, *, runtime: str) -> Figures:
    """Return a calibration's figures: of a file, or of the runtime's own where one was made, else the assumed ones.

    Raises InputError for a file that is missing or is none, naming it.
    """
    found = path or default_path(runtime)
    if path is None and not found.exists():
        return assumed(runtime)
    try:
        document = json.loads(found.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{found}: no such file; make one: harness calibrate --out {found}") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{found}: cannot be read as JSON: {error}") from error
    return Figures.from_dict(document, source=str(found))


def save(figures: Figures, path: Path) -> Path:
    """Write a calibration. Raises InputError when it cannot be written."""
    try:
        return write_atomically(path, json.dumps(figures.as_dict(), indent=1, allow_nan=False) + "\n")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; name a file you may write with --out") from error


def place_of(runtime: str) -> Place:
    """Return the place a runtime's name stands for, on this machine where it is local or kind."""
    cores = int(facts.machine()["cores"] or 1)
    if runtime == "local":
        return place.local(cores)
    if runtime == "kind":
        machine = this_machine()  # each node reports all of it
        room = (int(machine.cpu * 1000), int(machine.memory))
        return place.kind(cores, rooms=(room,) * WORKERS)
    return place.cluster()

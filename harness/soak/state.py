"""What a soak keeps on disk, so that it can be taken up again: what was asked for, what was offered, what was seen.

run.json        the request, the run's key and where its database stands
offers.bin      one byte a number: how far offering it has come (ledger.Offer)
samples.jsonl   where the run stood, every few seconds
chaos.jsonl     what the faults did
doubts.jsonl    mails that the publisher may have offered twice
soak.json       the verdict; only a run that was accounted for has one
"""

from __future__ import annotations

import json
import mmap
import random
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from harness.errors import InputError
from harness.files import write_atomically
from harness.soak import mix, strikes
from harness.soak.ledger import Offer

RUN, OFFERS, SAMPLES, DOUBTS, VERDICT = "run.json", "offers.bin", "samples.jsonl", "doubts.jsonl", "soak.json"
DATA = "data"
"""What broker, database, proxy and services keep; needed to take the run up again."""
VERSION = 1
MOST_TASKS = 10**mix.ID_DIGITS
PREFIX = "soak-"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a soak was asked for. Rates are tasks a second; `faults` are names, none for none."""

    tasks: int
    seed: int
    faults: tuple[str, ...]
    environment: str
    at_least_per_second: float
    at_most_per_second: float | None = None


@dataclass(frozen=True)
class Run:
    """A soak's directory and what stands in its run.json."""

    directory: Path
    key: str
    wanted: Wanted

    @property
    def name(self) -> str:
        """The run's name, which is its directory's."""
        return self.directory.name

    @property
    def finished(self) -> bool:
        """Whether it was accounted for."""
        return (self.directory / VERDICT).exists()

    def mix(self) -> mix.Mix:
        """Return what its numbers stand for."""
        return mix.make(self.wanted.tasks, key=self.key, rng=random.Random(self.wanted.seed))

    def strikes(self) -> tuple[strikes.Strike, ...]:
        """Return its faults, each at its number of tasks."""
        if not self.wanted.faults:
            return ()
        faults = strikes.chosen(self.wanted.faults)
        return strikes.strikes(self.wanted.tasks, faults, rng=random.Random(self.wanted.seed))

    def note(self, file: str, line: Mapping[str, Any]) -> None:
        """Add a line to one of its files."""
        with (self.directory / file).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")

    def lines(self, file: str) -> list[dict[str, Any]]:
        """Return the whole lines of one of its files; none where it is not there."""
        path = self.directory / file
        text = path.read_bytes() if path.exists() else b""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith(b"\n")]


def begin(reports: Path, wanted: Wanted) -> Run:
    """Make the directory of a new run. Raises InputError where that cannot be."""
    if not 1 <= wanted.tasks <= MOST_TASKS:
        raise InputError(f"--tasks {wanted.tasks}: must be 1 to {MOST_TASKS:,}")
    key = secrets.token_hex(4)
    directory = reports.resolve() / f"{time.strftime('%Y%m%d-%H%M%S')}-{PREFIX}{key}"
    try:
        directory.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"--reports {reports}: {error.strerror}; name a directory you may write to") from error
    run = Run(directory, key, wanted)
    document = {"version": VERSION, "key": key, "wanted": asdict(wanted)}
    write_atomically(directory / RUN, json.dumps(document, indent=1) + "\n")
    return run


def load(directory: Path) -> Run:
    """Read a run. Raises InputError for what is none."""
    path = directory / RUN
    try:
        document = json.loads(path.read_text())
        if document["version"] != VERSION:
            raise InputError(f"{path}: a run of version {document['version']}; this harness goes on with {VERSION}")
        wanted = document["wanted"]
        return Run(directory.resolve(), document["key"], Wanted(**{**wanted, "faults": tuple(wanted["faults"])}))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: no soak that can be taken up again: {error}") from error


def unfinished(reports: Path, name: str | None = None) -> Run:
    """Return the named run (a folder of `reports`, or a path), or the newest that was not accounted for.

    Raises InputError where there is none, or it is finished.
    """
    if name is None:
        known = sorted((path.parent for path in reports.glob(f"*/{RUN}")), key=lambda path: path.name)
        left = [path for path in known if not (path / VERDICT).exists() and not path.is_symlink()]
        if not left:
            raise InputError(f"{reports}: no soak there that could go on; `make soak` begins one")
        return load(left[-1])
    found = next((path for path in (reports / name, Path(name)) if (path / RUN).exists()), reports / name)
    run = load(found)
    if run.finished:
        raise InputError(f"--resume {name}: it is finished: {run.directory / VERDICT}")
    return run


class Offers:
    """The file of offers, one byte a number. What a process wrote stays when the process is killed."""

    def __init__(self, path: Path, tasks: int) -> None:
        with path.open("ab") as file:
            file.truncate(tasks)
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), tasks)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._map.close()

    def __getitem__(self, number: int) -> int:
        return self._map[number]

    def __setitem__(self, number: int, offer: Offer) -> None:
        self._map[number] = offer

    def first(self, offer: Offer, start: int = 0) -> int | None:
        """Return the first number from `start` on that has come so far and no further, None where there is none."""
        found = self._map.find(bytes((offer,)), start)
        return None if found < 0 else found

    def read(self) -> bytes:
        """Return all of them."""
        return self._map[:]

"""A comparison's folder: what was asked, kept so that one that was cut can go on."""

from __future__ import annotations

import json
import shutil
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.compare import sides
from harness.compare.budget import Budget
from harness.compare.sides import Side
from harness.compare.summary import AFTER, BEFORE, SIDES
from harness.errors import InputError
from harness.files import write_atomically
from harness.spike import report
from harness.spike.prepared import Request, prepare
from harness.spike.scenario import Scenario, load_scenario
from harness.spike.site import Site

FILE_NAME = "compare.json"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is to be compared. Without a budget it is what the minimum of `before` requests."""

    scenarios: tuple[str, ...]
    before: str
    after: str
    runtime: str
    runs: int
    budget: Budget | None = None

    @property
    def command(self) -> str:
        """The command that makes it again."""
        given = "" if self.budget is None else f" --budget {self.budget.cores:g},{self.budget.memory_gib:g}"
        return (
            f"harness compare {' '.join(self.scenarios)} --before {self.before} --after {self.after} "
            f"--runtime {self.runtime} --runs {self.runs}{given}"
        )


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A comparison's folder, what was asked, and both sides with the budget they are held to."""

    directory: Path
    wanted: Wanted
    scenarios: tuple[Scenario, ...]
    budget: Budget
    sides: dict[str, Side]

    def overlay(self, name: str) -> Path:
        """Return where the overlay of a side is."""
        return self.directory / f"budget-{name}.yaml"

    def request(self, scenario: Scenario, name: str) -> Request:
        """Return the request of a scenario's run on a side."""
        return Request(
            scenario=scenario.source,
            environment=self.sides[name].bought.environment,
            reports=self.directory / name,
            runtime=self.wanted.runtime,
            values=(self.overlay(name),),
        )

    def runs(self, scenario: Scenario, name: str) -> list[report.Run]:
        """Return the finished runs of a scenario on a side, oldest first."""
        found = reversed(report.runs(self.directory / name))
        return [one for one in found if one.result.scenario == scenario.name]

    def missing(self) -> list[tuple[int, Scenario, str]]:
        """Return which runs are not there yet, in the order to make them: number among all, scenario, side.

        The sides take turns in going first, so that neither always has the machine as the other left it.
        """
        there = {(one.name, name): len(self.runs(one, name)) for one in self.scenarios for name in SIDES}
        turns = [
            (turn, scenario, name)
            for turn in range(self.wanted.runs)
            for scenario in self.scenarios
            for name in (reversed(SIDES) if turn % 2 else SIDES)
        ]
        return [
            (number, scenario, name)
            for number, (turn, scenario, name) in enumerate(turns, start=1)
            if there[scenario.name, name] <= turn
        ]

    @property
    def total(self) -> int:
        """How many runs there are in all."""
        return self.wanted.runs * len(self.scenarios) * len(SIDES)


def begin(reports: Path, wanted: Wanted, *, site: Site) -> Begun:
    """Check all that is asked, and make the folder. Raises InputError, and leaves nothing then."""
    directory = reports.resolve() / f"compare-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"
    begun = _begun(directory, wanted)
    try:
        directory.mkdir(parents=True)
        write_atomically(directory / FILE_NAME, json.dumps(asdict(wanted), indent=1) + "\n")
        for name in SIDES:
            sides.write_overlay(begun.sides[name], begun.overlay(name))
    except OSError as error:
        raise InputError(f"--reports {reports}: {error.strerror}; name a directory you may write to") from error
    try:
        for request in (begun.request(scenario, name) for scenario in begun.scenarios for name in SIDES):
            prepare(request, values=site.values(request), cores=site.cores())
    except InputError:
        shutil.rmtree(directory)
        raise
    return begun


def resumed(directory: Path) -> Begun:
    """Return a comparison that was begun. Raises InputError where there is none."""
    path = directory / FILE_NAME
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        budget = None if document["budget"] is None else Budget(**document["budget"])
        wanted = Wanted(**{**document, "scenarios": tuple(document["scenarios"]), "budget": budget})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a comparison that was begun with this version: {error}") from error
    return _begun(directory.resolve(), wanted)


def _begun(directory: Path, wanted: Wanted) -> Begun:
    scenarios = tuple(load_scenario(name) for name in wanted.scenarios)
    budget = wanted.budget or sides.budget_of(wanted.before)
    made = {
        name: sides.side(name, environment, budget=budget, scenarios=scenarios)
        for name, environment in ((BEFORE, wanted.before), (AFTER, wanted.after))
    }
    return Begun(directory=directory, wanted=wanted, scenarios=scenarios, budget=budget, sides=made)

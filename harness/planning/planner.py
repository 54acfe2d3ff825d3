"""One plan: what is asked, simulated and explained."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from harness.chart import render, yaml_strict
from harness.errors import InputError
from harness.files import write_atomically
from harness.planning import binding as bindings
from harness.planning import changes as changing
from harness.planning import foretell
from harness.planning.case import Case, Judgement, Simulate, judge
from harness.planning.figures import Figures
from harness.planning.foretell import Foretold
from harness.planning.offered import Services, offered
from harness.planning.place import Place
from harness.planning.plant import plant
from harness.planning.waiting import waits
from harness.spike import arrivals, facts, report
from harness.spike.arrivals import LoadPlan, Topology
from harness.spike.forecast import peak_depths
from harness.spike.objectives import Objective
from harness.spike.panels import Beside
from harness.spike.report import Table
from harness.spike.result import Result, RunFacts
from harness.spike.scenario import Publishing, Scenario
from harness.spike.timeline import percentile

FORMAT_VERSION = 1
FILE_NAME = "plan.json"
EXPLAINED_AT_MOST = 100_000
"""Tasks up to which a plan is explained: each reason takes a simulation and an accounting of its own."""
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What is offered and demanded, from a scenario or from counts of a real day."""

    name: str
    title: str
    description: str
    plan: LoadPlan
    publishing: Publishing
    objectives: Sequence[Objective]
    limit_seconds: float
    seed: int
    services: Services | None = None
    waits: Mapping[str, float] | None = None  # in seconds, of each task of which it is known
    groups: Mapping[str, str] | None = None  # of each task that has one


def of_scenario(scenario: Scenario, topology: Topology, *, run_id: str, seed: int | None = None) -> Offer:
    """Return what a scenario offers these workers: the exact list of a run with that id. Raises InputError."""
    return Offer(
        name=scenario.name,
        title=scenario.title,
        description=scenario.description,
        plan=arrivals.plan(scenario, topology, run_id=run_id),
        publishing=scenario.publisher,
        objectives=scenario.objectives,
        limit_seconds=scenario.limit_seconds,
        seed=scenario.seed if seed is None else seed,
        waits=waits(scenario),
        groups=scenario.groups,
    )


def case_of(
    offer: Offer, manifests: Sequence[Mapping[str, Any]], topology: Topology, *, place: Place, figures: Figures
) -> Case:
    """Return the question that a render and an offer pose at a place. Raises InputError."""
    return Case(
        plant=plant(manifests, topology, publishing=offer.publishing, figures=figures, place=place),
        offered=offered(offer.plan, topology, figures=figures, services=offer.services, waits=offer.waits),
        objectives=offer.objectives,
        limit_seconds=offer.limit_seconds,
        seed=offer.seed,
    )


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """One set of values, rendered. `environment` is what it is called."""

    environment: str
    values: tuple[str, ...]
    manifests: Sequence[Mapping[str, Any]]
    topology: Topology


class Chosen(Protocol):
    """Values as a user names them."""

    @property
    def files(self) -> Sequence[Path]: ...  # noqa: D102
    @property
    def set_values(self) -> Mapping[str, Any]: ...  # noqa: D102
    @property
    def release(self) -> str: ...  # noqa: D102


def rendered(chosen: Chosen, *, environment: str) -> Rendered:
    """Render values to plan on. Raises InputError for what the chart refuses."""
    manifests = render.render(chosen.files, release=chosen.release, set_values=chosen.set_values)
    files = [str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name for path in chosen.files]
    single = [f"{key}={value}" for key, value in chosen.set_values.items()]
    return Rendered(
        environment=environment,
        values=(*files, *single),
        manifests=manifests,
        topology=render.topology(manifests),
    )


@dataclass(frozen=True)
class Draw:
    """One seed's outcome."""

    seed: int
    passed: bool
    drain_seconds: float | None
    p95_latency_seconds: float | None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is foretold of one set of values under one load, and why."""

    environment: str
    runtime: str
    seed: int
    figures: Figures
    foretold: Foretold
    utilisation: Mapping[str, Mapping[str, float | None]]
    binding: bindings.Binding | None = None
    changes: tuple[changing.Change, ...] | None = None  # None: not looked for
    spread: tuple[Draw, ...] = ()

    @property
    def result(self) -> Result:
        """The run's result as it is foretold."""
        return self.foretold.result

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form: what was asked, the verdict, its reasons, and under `result` all of the run."""
        found = self.result
        return {
            "version": FORMAT_VERSION,
            "environment": self.environment,
            "scenario": found.scenario,
            "runtime": self.runtime,
            "seed": self.seed,
            "passed": found.passed,
            "objectives": [outcome.as_dict() for outcome in found.outcomes],
            "drain_seconds": found.drain_seconds,
            "latency_seconds": found.latency_seconds,
            "peak_depth_messages": peak_depths(found),
            "utilisation": self.utilisation,
            "binding": None if self.binding is None else asdict(self.binding),
            "changes": None if self.changes is None else [asdict(change) for change in self.changes],
            "spread": [asdict(draw) for draw in self.spread],
            "figures": self.figures.as_dict(),
            "result": found.as_dict(),
        }


@dataclass(frozen=True, kw_only=True)
class Asked:
    """How thorough a plan is to be. `command` makes it again."""

    explain: bool = True
    seeds: int = 1
    command: str = ""


def make(offer: Offer, values: Rendered, simulate: Simulate, *, place: Place, figures: Figures, asked: Asked) -> Plan:
    """Foretell what values make of an offer; explained, what holds it back and what would help. Raises InputError."""
    case = case_of(offer, values.manifests, values.topology, place=place, figures=figures)
    base = judge(case, simulate)
    explain = asked.explain and len(offer.plan.arrivals) <= EXPLAINED_AT_MOST
    found = foretell.foretold(
        case.plant,
        case.offered,
        base.trace,
        facts=run_facts(offer, values, base, place=place, figures=figures, command=asked.command),
        objectives=offer.objectives,
        groups=offer.groups,
    )
    return Plan(
        environment=values.environment,
        runtime=place.name,
        seed=offer.seed,
        figures=figures,
        foretold=found,
        utilisation=foretell.utilisation(case.plant, base.trace),
        binding=bindings.binding(case, simulate, base=base) if explain else None,
        changes=changing.changes(case, simulate) if explain and not base.met else None,
        spread=_spread(case, simulate, asked.seeds, place),
    )


def run_facts(
    offer: Offer, values: Rendered, judgement: Judgement, *, place: Place, figures: Figures, command: str
) -> RunFacts:
    """Return what a page says of the run that was not made."""
    setup = facts.setup(
        manifests=values.manifests,
        topology=values.topology,
        values_files=values.values,
        chart_version=str(yaml_strict.load_file(render.CHART / "Chart.yaml")["version"]),
        checkout=ROOT,
    )
    return RunFacts(
        run_id=offer.plan.run_id,
        scenario=offer.name,
        runtime=place.name,
        started_at=time.time(),
        duration_seconds=round(judgement.trace.end_seconds, 3),
        command=command,
        title=offer.title,
        description=offer.description,
        ideal_drain_seconds=round(arrivals.ideal_drain_seconds(offer.plan, values.topology), 3),
        setup={**setup, "figures": report.source_words(figures.source)},
        files={FILE_NAME: FILE_NAME},
        foretold=True,
    )


def _spread(case: Case, simulate: Simulate, seeds: int, place: Place) -> tuple[Draw, ...]:
    """Repeat the case with other chances, of the autoscaler's phase too where it has one of its own."""
    if seeds <= 1:
        return ()
    period = case.plant.clockwork.controller.sync_seconds
    found = []
    for index in range(seeds):
        drawn = replace(case, seed=case.seed + index)
        found.append(
            _draw(drawn if place.waits_for_sync else drawn.looked_at(period * (index + 0.5) / seeds), simulate)
        )
    return tuple(found)


def _draw(case: Case, simulate: Simulate) -> Draw:
    judged = judge(case, simulate)
    trace = judged.trace
    latencies = trace.done - trace.first_attempt
    known = latencies[~np.isnan(latencies)]
    drained = len(known) == len(latencies) > 0
    drain = float(trace.done.max() - case.offered.load.due_seconds.max()) if drained else None
    p95 = percentile(known.tolist(), 95) if len(known) else None
    return Draw(
        case.seed, judged.met, None if drain is None else round(drain, 3), None if p95 is None else round(p95, 3)
    )


def new_id() -> str:
    """Return the name of a plan's folder."""
    return f"plan-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"


def write(plans: Sequence[Plan], reports: Path, tables: Sequence[Table]) -> Path:
    """Write plan.json and the page into a folder of `reports`, and return it. A second plan is drawn beside the first.

    Raises InputError when nothing can be written there.
    """
    first = plans[0]
    directory = reports.resolve() / first.result.run_id
    document = (
        first.as_dict() if len(plans) == 1 else {"version": FORMAT_VERSION, "plans": [p.as_dict() for p in plans]}
    )
    beside = None if len(plans) == 1 else Beside(f"({plans[1].environment})", plans[1].result.timeline)
    try:
        write_atomically(directory / FILE_NAME, json.dumps(document, indent=1, allow_nan=False) + "\n")
        report.write(first.result, directory, tables=tables, beside=beside)
    except OSError as error:
        raise InputError(f"--reports {reports}: {error.strerror}; name a directory you may write to") from error
    return directory

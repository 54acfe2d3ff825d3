"""Tuning a set of values: from scenarios to cases, and from what was found to files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness import scratch
from harness.chart.validate import validate
from harness.errors import HarnessError, InputError
from harness.files import write_atomically
from harness.planning import planner, tune_page, tuned_overlay, tuner
from harness.planning.candidates import Asked
from harness.planning.case import Case, Judgement, Simulate, judge
from harness.planning.figures import Figures
from harness.planning.place import Place
from harness.planning.planner import Chosen, Rendered
from harness.planning.scaled import scaled
from harness.planning.settings import Bounds
from harness.planning.tuner import Tuned
from harness.simulation.cost import Pod, Prices
from harness.simulation.fluid_model import compiled
from harness.spike.scenario import Scenario, load_scenario

PAGE = "tune.html"
WARM_PODS_MORE = 2


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a user asks for. `most_minimum` None: see `harness tune --help`. `room`: cores and GiB."""

    scenarios: tuple[str, ...]
    headroom: float
    most_replicas: int
    most_minimum: int | None
    room: tuple[float, float] | None
    cycles: float
    prices: Prices
    place: Place
    figures: Figures
    seeds: int
    command: str


@dataclass(frozen=True, kw_only=True)
class Found:
    """What came of it. `given` is the judgement of the values as they are, at the same load."""

    request: Request
    values: Rendered
    cases: Mapping[str, Case]
    tuned: Tuned
    percent: float
    given: Mapping[str, Judgement]
    keeps_minimum: bool


def run(request: Request, values: Rendered, simulate: Simulate) -> Found:
    """Tune. Raises InputError for what cannot be tuned."""
    scenarios = [load_scenario(name) for name in request.scenarios]
    cases = {one.name: _case(one, request, values) for one in scenarios}
    multiples = any(phase.load and one.normal_slots is None for one in scenarios for phase in one.phases)
    keeps = request.most_minimum is None and multiples
    first = next(iter(cases.values()))
    least = min((one.scaler.hpa.min_replicas for one in first.plant.classes if one.scaler), default=1)
    most_minimum = request.most_minimum or (1 if keeps else least + WARM_PODS_MORE)
    percent = tuner.latency_percent(cases)
    asked = Asked(
        prices=request.prices,
        cycles=request.cycles,
        seeds=request.seeds,
        percent=percent,
        bounds=Bounds(most_replicas=request.most_replicas, most_minimum=most_minimum),
        room=None if request.room is None else Pod(cores=request.room[0], memory_gib=request.room[1]),
    )
    try:
        tuned = tuner.tune(cases, model=compiled(), simulate=simulate, asked=asked)
    except ValueError as error:
        raise InputError(str(error)) from error
    given = {name: judge(case, simulate) for name, case in cases.items()}
    return Found(
        request=request, values=values, cases=cases, tuned=tuned, percent=percent, given=given, keeps_minimum=keeps
    )


def _case(scenario: Scenario, request: Request, values: Rendered) -> Case:
    offer = planner.of_scenario(scaled(scenario, 1.0 + request.headroom), values.topology, run_id=scenario.name)
    return planner.case_of(offer, values.manifests, values.topology, place=request.place, figures=request.figures)


def overlay_text(found: Found) -> str:
    """Return the overlay of what was found."""
    request, tuned = found.request, found.tuned
    scenarios = ", ".join(request.scenarios)
    prices = request.prices
    head = [
        f"Overlay on {' and '.join(found.values.values)}, found by: {request.command}",
        f"It meets every objective of {scenarios} at {1.0 + request.headroom:g} times the load, simulated with "
        f"{request.seeds} seeds ({request.place.name}, workers' figures: {request.figures.source}); a simulation is no "
        "run. Searched: "
        f"{tuned.coarse_runs:,} settings on the coarse model, {len(tuned.verified)} task by task.",
        f"Cost: {tuned.cost:,.2f} {prices.currency} a month for what the pods request, the scenario coming "
        f"{request.cycles:g} times a month ({prices.name}: {prices.source}).",
        "The reason beside a figure is what the simulation gave with another one.",
    ]
    plant = next(iter(found.cases.values())).plant
    return tuned_overlay.overlay(tuned, plant, head=head)


def write_overlay(found: Found, values: Chosen, out: Path) -> Path:
    """Write the overlay once the chart takes it over the values. Raises InputError, HarnessError."""
    text = overlay_text(found)
    with scratch.directory("tune") as directory:
        candidate = directory / out.name
        candidate.write_text(text, encoding="utf-8")
        report = validate([*values.files, candidate], release=values.release, set_values=values.set_values)
    if not report.ok:
        raise HarnessError(f"what was found is refused by the chart: {report.problems[0].text()}")
    if not out.resolve().parent.is_dir():
        raise InputError(f"--out {out}: there is no such directory; make it, or name another")
    return write_atomically(out, text)


def write_page(found: Found, reports: Path) -> Path:
    """Write the page with the curve and the candidates into a folder of `reports`."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    directory = reports.resolve() / f"tune-{stamp}"
    directory.mkdir(parents=True, exist_ok=True)
    return write_atomically(directory / PAGE, tune_page.page(found.tuned, percent=found.percent, found=found))

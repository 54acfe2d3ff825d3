"""What a run is foretold before its load begins."""

from __future__ import annotations

import time
from pathlib import Path

from harness.planning import calibrations, foretell, planner
from harness.planning.case import Simulate, judge
from harness.planning.figures import Figures
from harness.planning.place import CLUSTER_FIRST_SYNC_SECONDS, Place
from harness.planning.planner import Rendered
from harness.spike.forecast import Forecast
from harness.spike.prepared import Prepared
from harness.spike.run import Foretell


def foretelling(simulate: Simulate, *, runtime: str, calibration: Path | None) -> Foretell:
    """Return what foretells runs on a runtime. Raises InputError for a calibration that is none."""
    figures = calibrations.load(calibration, runtime=runtime)
    where = calibrations.place_of(runtime)
    return lambda prepared: forecast(prepared, simulate, place=where, figures=figures, now=time.time())


def forecast(prepared: Prepared, simulate: Simulate, *, place: Place, figures: Figures, now: float) -> Forecast:
    """Foretell a prepared run: its own list of tasks on its own manifests. `now` is seconds since the epoch."""
    offer = planner.of_scenario(prepared.scenario, prepared.topology, run_id=prepared.run_id)
    case = planner.case_of(offer, prepared.manifests, prepared.topology, place=place, figures=figures)
    if not place.waits_for_sync:  # a real load does not, a run does
        case = case.looked_at(CLUSTER_FIRST_SYNC_SECONDS)
    judged = judge(case, simulate)
    values = Rendered(
        environment=prepared.request.environment,
        values=tuple(path.name for path in prepared.values),
        manifests=prepared.manifests,
        topology=prepared.topology,
    )
    facts = planner.run_facts(offer, values, judged, place=place, figures=figures, command=prepared.request.command)
    found = foretell.foretold(
        case.plant, case.offered, judged.trace, facts=facts, objectives=offer.objectives, groups=offer.groups
    )
    return Forecast.of(found.result, calibration=figures.as_dict(), written_at=now)

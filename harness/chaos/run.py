"""One chaos run, from the faults' names to a judged table."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness import scratch
from harness.chaos import own_tasks
from harness.chaos.faults import Fault
from harness.chaos.schedule import phases, schedule, total_seconds
from harness.chaos.site import Chaos, ChaosSite, notes
from harness.chaos.verdict import FILE_NAME, Verdict, judge
from harness.chart.yaml_strict import dump_all, load_file
from harness.files import write_atomically
from harness.spike import result, run
from harness.spike.arrivals import Arrival, LoadPlan, queue_of
from harness.spike.prepared import Prepared, Request, prepare
from harness.spike.progress import Progress

BASE = Path(__file__).parents[2] / "loadtests" / "chaos.yaml"
ENVIRONMENT = "prod,chaos"
RATE_PER_SECOND = 10.0
SETTLE_SECONDS = 20.0
"""After the last phase: for retries, and for what a killed child had in work."""
GRACE_SECONDS = 240.0
MAIL_TASK = "forgot_password_mail"


@dataclass(frozen=True, kw_only=True)
class ChaosRequest:
    """What to do: which faults, in the order of which seed."""

    faults: Sequence[Fault]
    seed: int
    reports: Path
    per_second: float = RATE_PER_SECOND
    environment: str = ENVIRONMENT


def perform(request: ChaosRequest, *, progress: Progress) -> tuple[Path, Verdict]:
    """Run the faults under load; return the report's directory and the verdict. Raises as a spike run does."""
    injections = schedule(request.faults, rng=random.Random(request.seed))
    lasts = total_seconds(injections)
    with scratch.directory("chaos") as directory:
        file = directory / "chaos.yaml"
        file.write_text(
            scenario_text(phases(injections, per_second=request.per_second), lasts=lasts, seed=request.seed)
        )
        prepared = _prepared(request, file)
        own = own_tasks.arrivals(injections, prepared.topology, run_id=prepared.run_id)
        site = ChaosSite(Chaos(injections, own, request.seed))
        finished = run.perform(_with_own(prepared, own, lasts), site=site, progress=progress)
    outcome = result.read(finished)
    verdict = judge(outcome, notes(finished), seed=request.seed, mail_queue=queue_of(MAIL_TASK, prepared.topology))
    write_atomically(finished / FILE_NAME, json.dumps(verdict.as_dict(), indent=1) + "\n")
    return finished, verdict


def scenario_text(shaped: Sequence[object], *, lasts: float, seed: int) -> str:
    """Return a scenario file: the steady load of chaos.yaml in these phases."""
    own = {
        "name": "chaos",
        "title": "Faults under a steady load",
        "description": "Each phase is named for the fault that strikes in it.",
        "limit_seconds": lasts + SETTLE_SECONDS,
        "seed": seed,
        "phases": list(shaped),
        "objectives": [{"name": "lost", "max": 0}, {"name": "refused_finally", "max": 0}],
    }
    return dump_all([{**own, **load_file(BASE)}])


def _prepared(request: ChaosRequest, scenario: Path) -> Prepared:
    asked = Request(scenario=str(scenario), environment=request.environment, reports=request.reports)
    site = ChaosSite(Chaos((), (), request.seed))
    return prepare(asked, values=site.values(asked), cores=site.cores())


def _with_own(prepared: Prepared, own: Sequence[Arrival], lasts: float) -> Prepared:
    """Add the faults' own tasks to the plan, and wait longer than Locust does for what was dead-lettered to settle."""
    merged = tuple(sorted((*prepared.plan.arrivals, *own), key=lambda one: one.due_seconds))
    plan = LoadPlan(prepared.plan.run_id, merged, prepared.plan.phases)
    scenario = replace(prepared.scenario, limit_seconds=lasts + SETTLE_SECONDS + GRACE_SECONDS)
    return replace(prepared, plan=plan, scenario=scenario)

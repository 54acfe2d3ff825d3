"""What a run is asked for, read and checked before anything is started."""

from __future__ import annotations

import shlex
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.chart import render
from harness.spike import arrivals
from harness.spike.forecast import Forecast
from harness.spike.ramps import fastest_ramps
from harness.spike.scenario import Scenario, load_scenario
from harness.urls import redact


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to run. `environment` names files of values/, in the order in which they apply; `values` lie over them.

    `monitor` asks for a Prometheus beside the run, `prometheus` names one that watches the place anyway.
    """

    scenario: str
    environment: str
    reports: Path
    runtime: str = "local"
    release: str = "celery"
    values: tuple[Path, ...] = ()
    monitor: bool = False
    prometheus: str | None = None

    @property
    def command(self) -> str:
        """The command that repeats the run."""
        if not self.values and self.prometheus is None:
            made = f"make spike SCENARIO={self.scenario} ENV={self.environment} RUNTIME={self.runtime}"
            return f"{made} MONITOR=1" if self.monitor else made
        more = [f"-f {shlex.quote(str(path))}" for path in self.values]
        more += ["--monitor"] if self.monitor else []
        more += [] if self.prometheus is None else [f"--prometheus {shlex.quote(redact(self.prometheus))}"]
        return f"harness spike {self.scenario} --env {self.environment} --runtime {self.runtime} {' '.join(more)}"


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A request whose inputs were read and found sound, before anything is started; `forecast` is what is foretold."""

    request: Request
    run_id: str
    scenario: Scenario
    values: Sequence[Path]
    manifests: Sequence[Mapping[str, Any]]
    topology: Mapping[str, Any]
    plan: arrivals.LoadPlan
    forecast: Forecast | None = None


def prepare(request: Request, *, values: Sequence[Path], cores: int) -> Prepared:
    """Read and check all of the input that does not depend on where it runs.

    `values` are the files in order, `cores` what the pods run on. Raises InputError.
    """
    scenario = load_scenario(request.scenario)
    manifests = render.render(values, release=request.release)
    topology = render.topology(manifests)
    ramps = fastest_ramps(manifests, until_seconds=scenario.limit_seconds)
    run_id = f"{time.strftime('%Y%m%d-%H%M%S')}-{scenario.name}-{uuid.uuid4().hex[:6]}"
    plan = arrivals.plan(scenario, topology, run_id=run_id)
    arrivals.check_fits(scenario, topology, cores=cores, load=plan, ramps=ramps)
    return Prepared(
        request=request,
        run_id=run_id,
        scenario=scenario,
        values=values,
        manifests=manifests,
        topology=topology,
        plan=plan,
    )

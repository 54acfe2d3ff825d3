"""One spike run, from values to a finished report."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness import tools
from harness.broker.management import Management
from harness.broker.server import Broker
from harness.chart import render, yaml_strict
from harness.errors import HarnessError, InputError
from harness.files import write_atomically
from harness.spike import alerts, arrivals, evidence, facts, report, result, scalers
from harness.spike.forecast import FILE_NAME as FORECAST
from harness.spike.forecast import Forecast
from harness.spike.load import JOURNALS
from harness.spike.prepared import Prepared, Request, prepare
from harness.spike.progress import Progress
from harness.spike.site import Site
from harness.spike.start import start_after_sync
from harness.spike.watching import Watch

ROOT = Path(__file__).resolve().parents[2]
Foretell = Callable[[Prepared], Forecast | None]
"""Says what will come of a run, or that nothing can be said."""


def run(request: Request, *, site: Site, progress: Progress, foretell: Foretell | None = None) -> Path:
    """Run a scenario at a site and return the directory of its report.

    Everything is written into a hidden directory that gets its name when the report is complete; a run that fails
    keeps its logs under `failed-...`, one that is interrupted or whose input is wrong leaves nothing. What `foretell`
    says is written down before anything is started, and stands beside what came of it in the report.

    Raises:
        InputError: the scenario or the values are wrong, or do not fit this machine.
        HarnessError: something that the run needs did not work; the message names the logs.
    """
    prepared = prepare(request, values=site.values(request), cores=site.cores())
    return perform(prepared, site=site, progress=progress, foretell=foretell)


def perform(prepared: Prepared, *, site: Site, progress: Progress, foretell: Foretell | None = None) -> Path:
    """Run what was prepared; as `run`."""
    site.check(prepared, progress)
    request = prepared.request
    reports = request.reports.resolve()  # the processes of a run have other working directories
    directory = reports / f".{prepared.run_id}.partial"
    try:
        directory.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"--reports {request.reports}: {error.strerror}; name a directory you may write to") from error
    try:
        _perform(_foretold(prepared, directory, foretell, progress), site, directory, progress)
        finished = directory.rename(reports / prepared.run_id)
        report.point_latest(finished)
        return finished
    except KeyboardInterrupt:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    except Exception as error:
        if isinstance(error, InputError) and not (directory / JOURNALS).exists():  # refused before the load began
            shutil.rmtree(directory, ignore_errors=True)
            raise
        kept = directory.rename(reports / f"failed-{prepared.run_id}")
        if not isinstance(error, HarnessError):
            error.add_note(f"The run's logs: {kept}")
            raise
        text = str(error).replace(str(directory), str(kept))
        raise type(error)(f"{text}\nThe run's logs: {kept}") from error


def _foretold(prepared: Prepared, directory: Path, foretell: Foretell | None, progress: Progress) -> Prepared:
    """Write the forecast down while nothing runs yet; the run goes on without one that cannot be made."""
    if foretell is None:
        return prepared
    progress.step("foretelling the run")
    try:
        forecast = foretell(prepared)
    except HarnessError as error:
        progress.step(f"no forecast: {error}")
        return prepared
    if forecast is not None:
        document = json.dumps(forecast.as_dict(), indent=1, allow_nan=False)
        write_atomically(directory / FORECAST, document + "\n")
    return replace(prepared, forecast=forecast)


def _perform(prepared: Prepared, site: Site, directory: Path, progress: Progress) -> None:
    scenario = prepared.scenario
    (directory / "topology.json").write_text(json.dumps(prepared.topology, indent=1))
    scalers.write(prepared.manifests, directory)
    shutil.copyfile(scenario.source, directory / f"{scenario.name}.yaml")  # to read beside the report
    with ExitStack() as stack:
        ground = stack.enter_context(site.ground(prepared, directory, progress))
        management = stack.enter_context(Management(ground.broker.management_url))
        monitor = stack.enter_context(alerts.watching(prepared, ground, directory))
        progress.step(f"installing {', '.join(path.name for path in prepared.values)} ({site.name})")
        ground.runtime.install(ground.release)
        progress.step("waiting for the workers to be ready")
        ground.runtime.wait_ready(timeout_seconds=site.ready_seconds)
        start_at = start_after_sync(
            ground.runtime.next_sync_at(),
            now=time.time(),
            start_seconds=ground.start_seconds,
            sync_seconds=ground.sync_seconds,
        )
        progress.step(f"{scenario.title}: {len(prepared.plan.arrivals):,} tasks")
        watch = Watch(prepared, ground, management=management, load_starts_at=start_at, progress=progress)
        with ground.generate(start_at) as generator:
            watch.until_done(generator)
        progress.step("accounting for every task")
        ground.settle()
        found = evidence.collect(plan=prepared.plan, ground=ground, topology=prepared.topology)
        fired = None if monitor is None else monitor.fired(found.started_at)
        progress.step("stopping")
    _write(prepared, site, directory, found, watch, ground.broker, fired)


def _write(
    prepared: Prepared,
    site: Site,
    directory: Path,
    found: evidence.Evidence,
    watch: Watch,
    broker: Broker,
    fired: list[dict[str, Any]] | None,
) -> None:
    started_at = found.started_at
    run_facts = result.RunFacts(
        run_id=prepared.run_id,
        scenario=prepared.scenario.name,
        runtime=site.name,
        started_at=started_at,
        duration_seconds=round(watch.samples[-1]["t"] - started_at, 3),
        command=prepared.request.command,
        title=prepared.scenario.title,
        description=prepared.scenario.description,
        ideal_drain_seconds=round(arrivals.ideal_drain_seconds(prepared.plan, prepared.topology), 3),
        interrupted=watch.timed_out,
        setup=_setup(prepared, site, broker),
        files=_files(directory),
        calls=found.calls,
        torn_lines=found.torn_lines,
        forecast=None if prepared.forecast is None else prepared.forecast.as_dict(),
        alerts=fired,
    )
    outcome = result.build(
        facts=run_facts,
        ledger=found.ledger,
        objectives=prepared.scenario.objectives,
        due_at={one.id: started_at + one.due_seconds for one in prepared.plan.arrivals},
        samples=watch.relative(started_at),
        scale_events=watch.runtime.scale_events(),
        events=watch.runtime.events(),
        groups=prepared.scenario.groups,
    )
    result.write(outcome, directory)
    report.write(outcome, directory)


def _setup(prepared: Prepared, site: Site, broker: Broker) -> dict[str, Any]:
    return facts.setup(
        manifests=prepared.manifests,
        topology=prepared.topology,
        values_files=[_shown(path) for path in prepared.values],
        chart_version=str(yaml_strict.load_file(render.CHART / "Chart.yaml")["version"]),
        checkout=ROOT,
        rabbitmq=broker.version,
        helm=".".join(map(str, tools.helm_version(tools.find_helm()))),
        **site.facts(),
    )


def _shown(path: Path) -> str:
    """Return a values file's path as in the checkout; of one from elsewhere only its name is of interest."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


def _files(directory: Path) -> dict[str, str]:
    wanted = {
        "topology.json": "topology.json",
        "autoscalers": scalers.FILE_NAME,
        "forecast": FORECAST,
        "scenario": "*.yaml",
        "autoscaling decisions": "runtime/autoscaling.jsonl",
        "publisher journals": JOURNALS,
        "deliveries": "services/deliveries.jsonl",
        "worker logs": "runtime/pods",
        "rules of alerts": f"{alerts.DIRECTORY}/{alerts.RULES}",
        "Locust's log": "locust.log",
    }
    found = {label: sorted(directory.glob(pattern)) for label, pattern in wanted.items()}
    return {label: str(paths[0].relative_to(directory)) for label, paths in found.items() if paths}

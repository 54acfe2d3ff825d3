"""One soak, from its first task or from where it was cut, to a judged account of every task."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.chaos.site import JOURNAL
from harness.chart import render, yaml_strict
from harness.files import write_atomically
from harness.services import postgresql
from harness.soak import evidence, report, state
from harness.soak.ground import RELEASE, Rendered, SoakGround, soak_ground
from harness.soak.mix import KINDS
from harness.soak.state import Run
from harness.soak.verdict import REPEATABLE, Verdict, judge
from harness.soak.watch import Watch
from harness.spike import facts
from harness.spike.arrivals import class_of, queue_of, slots_at_most
from harness.spike.progress import Progress
from harness.spike.report import point_latest
from harness.spike.run import ROOT

READY_SECONDS = 120.0
ENVIRONMENT = "prod,soak"


@dataclass(frozen=True)
class _Finished:
    evidence: evidence.Evidence
    rabbitmq: str


def begin(reports: Path, wanted: state.Wanted) -> Run:
    """Make a new run. Raises InputError for values files that are not there, and as `state.begin` does."""
    render.environment_files(wanted.environment)
    return state.begin(reports, wanted)


def perform(run: Run, *, progress: Progress) -> Verdict:
    """Run what is left of a soak; return its verdict, which stands in soak.json and report.html too.

    Ended at any moment it can be performed again and goes on. Raises InputError for values that are refused,
    HarnessError when something that it needs did not work.
    """
    values = render.environment_files(run.wanted.environment)
    manifests = render.render(values, release=RELEASE)
    rendered = Rendered(manifests, render.topology(manifests))
    samples = run.lines(state.SAMPLES)
    part = samples[-1]["part"] + 1 if samples else 1
    if samples:
        _note_the_cut(run, rendered)
    with soak_ground(run, rendered, part=part, progress=progress) as ground:
        found = _perform(run, ground, part=part, progress=progress)
        progress.step("stopping")
    verdict = _judge(run, rendered, found)
    setup = facts.setup(
        manifests=manifests,
        topology=rendered.topology,
        values_files=[path.name for path in values],
        chart_version=str(yaml_strict.load_file(render.CHART / "Chart.yaml")["version"]),
        checkout=ROOT,
        rabbitmq=found.rabbitmq,
    )
    _write(run, verdict, setup)
    return verdict


def _perform(run: Run, ground: SoakGround, *, part: int, progress: Progress) -> _Finished:
    world = ground.world
    progress.step(f"installing {run.wanted.environment}")
    world.runtime.install(ground.release)
    progress.step("waiting for the workers to be ready")
    world.runtime.wait_ready(timeout_seconds=READY_SECONDS)
    with state.Offers(run.directory / state.OFFERS, run.wanted.tasks) as offers:
        progress.step(f"{run.wanted.tasks:,} tasks" if part == 1 else f"part {part} of {run.wanted.tasks:,} tasks")
        watch = Watch(run, ground, part=part, offers=offers, progress=progress)
        watch.until_done()
        progress.step("accounting for every task")
        found = evidence.collect(
            run.mix(),
            offers.read(),
            services=world.services,
            broker_url=ground.broker.amqp_url,
            topology=world.topology,
            tick=world.runtime.tick,
        )
    return _Finished(found, ground.broker.version)


def _note_the_cut(run: Run, rendered: Rendered) -> None:
    """Write down that all workers ended with the part before: a mail in work then may be sent again."""
    queue = _mail_queue(rendered.topology)
    in_work = slots_at_most(class_of(queue, rendered.topology), rendered.topology)
    run.note(state.DOUBTS, {"t": time.time(), "mails": in_work, "why": "in work when the run was cut"})
    notes = run.lines(JOURNAL)
    if notes and notes[-1]["what"] != "ends":
        run.note(JOURNAL, {**notes[-1], "t": time.time(), "what": "ends", "text": "cut with the run"})


def _mail_queue(topology: Mapping[str, Any]) -> str:
    return queue_of(next(kind.task for kind in KINDS if kind.effect == REPEATABLE), topology)


def _judge(run: Run, rendered: Rendered, found: _Finished) -> Verdict:
    return judge(
        name=run.name,
        seed=run.wanted.seed,
        mix=run.mix(),
        columns=found.evidence.columns,
        samples=run.lines(state.SAMPLES),
        notes=run.lines(JOURNAL),
        doubts=run.lines(state.DOUBTS),
        calls=found.evidence.calls,
        unknown=found.evidence.unknown,
        mail_queue=_mail_queue(rendered.topology),
        at_least_per_second=run.wanted.at_least_per_second,
    )


def _write(run: Run, verdict: Verdict, setup: Mapping[str, Any]) -> None:
    """Write the page, then the verdict, with which the run is finished; the data of one that passed is removed."""
    page = report.render(verdict, run.lines(state.SAMPLES), setup)
    write_atomically(run.directory / report.FILE_NAME, page)
    document = {**verdict.as_dict(), "setup": setup}
    write_atomically(run.directory / state.VERDICT, json.dumps(document, indent=1) + "\n")
    if verdict.passed:
        postgresql.remove_home(run.directory / state.DATA / "postgresql")
        shutil.rmtree(run.directory / state.DATA, ignore_errors=True)
    point_latest(run.directory)

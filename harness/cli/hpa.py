"""`harness hpa`: what an autoscaler decided, or would have decided, on what was observed."""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Table

from harness.autoscaling import ControllerConfig
from harness.cluster.api import Api
from harness.errors import InputError
from harness.hpa import autoscalers, lines, replaying
from harness.hpa.recorder import Recorder
from harness.hpa.recording import record
from harness.hpa.replaying import Decided

REPORTS = Path("reports")
DAY_SECONDS = 86400

Command = TypeVar("Command", bound=Callable[..., Any])


class FiniteRange(click.FloatRange):
    """Numbers from so much on; `nan` and `inf`, which are read as numbers too, are not."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no finite number", param, ctx)
        return number


@click.group()
def command() -> None:
    """Decide again on recorded observations, as Kubernetes' own controller does; and record them on a cluster."""


def _controller_options(command: Command) -> Command:
    """Add the flags of kube-controller-manager that change decisions."""
    default = ControllerConfig()
    options = [
        click.option("--tolerance", type=FiniteRange(0), metavar="RATIO",
                     help=f"Default: {default.tolerance}."),
        click.option("--downscale-stabilization-seconds", type=click.IntRange(0), metavar="SECONDS",
                     help=f"Default: {default.downscale_stabilization_seconds}."),
        click.option("--cpu-initialization-seconds", type=FiniteRange(0), metavar="SECONDS",
                     help=f"Default: {default.cpu_initialization_seconds:g}."),
        click.option("--initial-readiness-delay-seconds", type=FiniteRange(0), metavar="SECONDS",
                     help=f"Default: {default.initial_readiness_delay_seconds:g}."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@command.command()
@click.option(
    "--hpa",
    "manifest",
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="MANIFEST",
    help="An autoscaling/v2 HorizontalPodAutoscaler or a KEDA ScaledObject; other objects are passed over.",
)
@click.option(
    "--observations", type=click.Path(path_type=Path, allow_dash=True), metavar="FILE", help="One JSON object a line."
)
@click.option(
    "--run",
    "run",
    metavar="RUN",
    help="In place of both: a local run's directory, or its name in reports/. Its decisions are made again.",
)
@click.option("--name", help="Which autoscaler, where MANIFEST has several; with --run: whose, a Deployment's name.")
@click.option(
    "--sync-seconds",
    type=FiniteRange(0, min_open=True),
    metavar="SECONDS",
    help="Decide once in so many seconds. Default: on each observation.",
)
@_controller_options
@click.option("--table", "as_table", is_flag=True, help="Print a table of the changes only.")
def replay(
    manifest: Path | None, observations: Path | None, run: str | None, name: str | None, sync_seconds: float | None,
    as_table: bool, **flags: float | None,
) -> None:  # fmt: skip
    """Print what the controller would have decided on recorded observations.

    One JSON object a line: t, desired, reason; with --run also deployment. `-` is standard input. Each line is decided
    and printed as it is read, so a recording that goes on can be followed: no later line changes an earlier decision. A
    line that cannot be read ends it, exit code 2. See docs/how-to/replay-hpa.md.
    """
    given: dict[str, Any] = {key: value for key, value in flags.items() if value is not None}
    if run is not None:
        if manifest or observations or sync_seconds:
            raise click.UsageError("--run brings its own autoscalers and observations: leave out the other options")
        decided = replaying.replay_run(_run_directory(run), name=name, flags=given)
    else:
        if manifest is None or observations is None:
            raise click.UsageError("give --hpa and --observations, or --run")
        if manifest == observations == lines.STDIN:
            raise click.UsageError("only one of --hpa and --observations can be standard input")
        spec = autoscalers.read(manifest, name=name, controller=ControllerConfig(**given))
        decided = replaying.replay_file(spec, observations, sync_seconds=sync_seconds)
    counted = _Counted(decided)
    if as_table:
        _table(counted, of_run=run is not None)
    else:
        for one in counted:
            click.echo(json.dumps(_line(one, of_run=run is not None)))
    if run is not None:
        click.echo(f"{counted.count} decisions, {counted.others} other than the run's", err=True)


class _Counted:
    """Passes decisions on and counts them, those too that are others than the run's."""

    def __init__(self, decided: Iterator[Decided]) -> None:
        self._decided = decided
        self.count = self.others = 0

    def __iter__(self) -> Iterator[Decided]:
        for one in self._decided:
            self.count += 1
            self.others += one.recorded not in (None, one.decision.desired)
            yield one


def _run_directory(run: str) -> Path:
    for path in (Path(run), REPORTS / run):
        if path.is_dir():
            return path
    raise InputError(f"{run}: no such directory, nor a run in {REPORTS}; `harness report --list` lists the runs")


def _line(one: Decided, *, of_run: bool) -> dict[str, Any]:
    whose = {"deployment": one.deployment} if of_run else {}
    return {"t": one.t, **whose, "desired": one.decision.desired, "reason": one.decision.reason}


def _table(decided: _Counted, *, of_run: bool) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("seconds", justify="right")
    if of_run:
        table.add_column("deployment")
    table.add_column("replicas", justify="right")
    table.add_column("reason", overflow="fold")
    first: float | None = None
    wanted: dict[str, int] = {}
    for one in decided:
        first = one.t if first is None else first
        # Where the replicas did not obey, the same is wanted again and again.
        if one.decision.changed and wanted.get(one.deployment) != one.decision.desired:
            wanted[one.deployment] = one.decision.desired
            whose = [one.deployment] if of_run else []
            steps = f"{one.decision.current} -> {one.decision.desired}"
            table.add_row(f"{one.t - first:,.1f}", *whose, steps, one.decision.reason)
    if table.row_count:
        Console().print(table)
    click.echo(f"{decided.count} decisions, {table.row_count} changes")


@command.command(name="record")
@click.option("--namespace", "-n", default="default", show_default=True)
@click.option("--name", required=True, help="The HorizontalPodAutoscaler; KEDA's is keda-hpa-<ScaledObject>.")
@click.option("--seconds", type=click.IntRange(1, DAY_SECONDS), required=True, help="How long.")
@click.option(
    "--every",
    "every_seconds",
    type=FiniteRange(0.2),
    default=1.0,
    show_default=True,
    help="Seconds from one look to the next.",
)
@click.option(
    "--manifest",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also write the autoscaler there, for `harness hpa replay --hpa`.",
)
def record_command(namespace: str, name: str, seconds: int, every_seconds: float, manifest: Path | None) -> None:
    """Record what an autoscaler sees on the cluster that KUBECONFIG names: one JSON object a line, once a second.

    Reads only: the autoscaler, its target's scale, the pods, the metrics APIs.
    """
    failed: list[str] = []
    count = 0
    with contextlib.closing(Api(_kubeconfig(os.environ))) as api:
        recorder = Recorder(api, namespace=namespace, name=name, clock=time.time)
        if manifest is not None:
            _write(manifest, recorder.manifest)
        for seen in record(
            recorder.look,
            seconds=seconds,
            every_seconds=every_seconds,
            clock=time.monotonic,
            sleep=time.sleep,
            failed=failed,
        ):
            click.echo(json.dumps(seen))
            count += 1
    click.echo(f"{count} observations", err=True)
    if failed:
        click.echo(f"{len(failed)} looks failed, the last one: {failed[-1]}", err=True)


def _write(path: Path, document: Mapping[str, Any]) -> None:
    try:
        path.write_text(json.dumps(document, indent=1) + "\n")
    except OSError as error:
        raise InputError(f"--manifest {path}: {error.strerror}; name a file you may write") from error


def _kubeconfig(environment: Mapping[str, str]) -> Path:
    given = environment.get("KUBECONFIG")
    if not given:
        raise InputError("KUBECONFIG is not set: it names the cluster to record on")
    return Path(given)

"""`harness calibrate`: measure what a plan must know of workers."""

from __future__ import annotations

import json
from pathlib import Path

import click

from harness.cli.progress import TerminalProgress
from harness.planning import calibrate, calibrations
from harness.planning.figures import START_ALONE, Figures, PoolFigures
from harness.spike import run, sites
from harness.spike.prepared import Request
from harness.spike.progress import Progress, SilentProgress


@click.command()
@click.option("--runtime", type=click.Choice(sites.NAMES), default="local", show_default=True, help="Where to measure.")
@click.option("--env", "environment", default="prod,keda", show_default=True, help="Files of values/, in this order.")
@click.option(
    "--from",
    "directory",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The folder of a run of the scenario `calibration`, instead of a new one.",
)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="The file to write, in place of the usual one."
)
@click.option(
    "--reports",
    type=click.Path(path_type=Path),
    default=Path("reports"),
    show_default=True,
    help="The folder runs are kept in.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON, no progress.")
def command(
    runtime: str, environment: str, directory: Path | None, out: Path | None, reports: Path, as_json: bool
) -> None:
    """Run a short scenario of all classes and measure boot, readiness, overhead and CPU of workers.

    The figures are kept beside the other caches and used by `harness plan` and the forecasts of `harness spike`. They
    hold for this machine: measure again after a change of machine, image or application.
    """
    if directory is None:
        directory = _run(runtime, environment, reports, SilentProgress() if as_json else TerminalProgress())
    figures = calibrate.measure(directory)
    path = calibrations.save(figures, out or calibrations.default_path(figures.runtime))
    click.echo(json.dumps(figures.as_dict()) if as_json else _text(figures, path))


def _run(runtime: str, environment: str, reports: Path, progress: Progress) -> Path:
    request = Request(scenario=calibrate.SCENARIO, environment=environment, reports=reports, runtime=runtime)
    try:
        return run.run(request, site=sites.find(runtime, broker_port=None), progress=progress)
    finally:
        progress.close()


def _line(pool: str, cells: tuple[str, ...]) -> str:
    return f"  {pool:<8}{''.join(f'  {cell:>11}' for cell in cells)}"


def _cells(one: PoolFigures) -> tuple[str, ...]:
    return (
        f"{one.start_seconds:.1f} s",
        f"{one.ready_seconds:.1f} s",
        f"{one.start_cpu_seconds:.1f} s",
        f"{one.cpu_factor:.2f} x",
        f"{one.overhead_seconds * 1000:.0f} ms",
        f"{one.idle_cores:.3f} cores",
        f"{one.memory_bytes / 2**20:.0f} MiB",
    )


def _text(figures: Figures, path: Path) -> str:
    heads = ("takes tasks", "ready", "start CPU", "task CPU", "overhead", "idle", "memory")
    lines = [f"measured by {figures.source} ({figures.runtime}):", _line("pool", heads)]
    lines += [_line(pool, _cells(one)) for pool, one in figures.pools.items()]
    lines.append(f"  publishing costs {figures.host_factor:.2f} times the CPU time that scenarios state")
    if figures.background_cores is not None:
        lines.append(f"  besides the workers the machine is busy with {figures.background_cores:.2f} cores at rest")
    lacking = [name for name in figures.assumed if not name.endswith(f".{START_ALONE}")]
    if lacking:
        lines.append(f"  not measured, taken as assumed: {', '.join(lacking)}")
    if figures.never_alone:
        lines.append(
            f"  no worker started alone: {', '.join(figures.never_alone)}; the start beside others that counts instead "
            "took longer, so plans have added pods too late: calibrate again"
        )
    return "\n".join([*lines, f"  kept in {path}"])

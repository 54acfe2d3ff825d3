"""How fast gevent workers empty a full queue: `python -m benchmarks.drain`.

Ideal: tasks x seconds / (processes x concurrency). Measured: from the moment all workers may consume to the last
effect, with the chart's own settings, and with stock Celery's beside it. Exits 1 when the median ratio to the ideal is
above the limit.
"""

from __future__ import annotations

import contextlib
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from benchmarks import workers
from benchmarks.command_line import run
from benchmarks.exporting import Exporter, run_exporter
from harness import processes
from harness.broker.management import Management
from harness.broker.server import Broker, acquire
from harness.errors import HarnessError

LIMIT_RATIO = 1.10  # issue 3
PREFILL_SECONDS = 60.0
OURS, STOCK = "ours", "stock"
QUEUES = {OURS: "io", STOCK: "celery"}


@dataclass(frozen=True)
class Load:
    """What is drained and by how many."""

    tasks: int = 10_000
    task_seconds: float = 2.0
    processes: int = 5
    concurrency: int = 200

    @property
    def ideal_seconds(self) -> float:
        """The time it takes when no slot is ever empty."""
        return self.tasks * self.task_seconds / (self.processes * self.concurrency)


@dataclass(frozen=True)
class Drain:
    """One run. `seconds` runs to the last effect seen; `effects` counts every one, `distinct` each task once."""

    settings: str
    seconds: float
    effects: int
    distinct: int

    def complete(self, load: Load) -> bool:
        """Whether every task had its effect, exactly once."""
        return self.effects == self.distinct == load.tasks


def drain(
    broker: Broker,
    directory: Path,
    load: Load,
    *,
    settings: str = OURS,
    limit_seconds: float,
    watched: bool | None = None,
    watch: Callable[[Exporter], AbstractContextManager[None]] = contextlib.nullcontext,
) -> Drain:
    """Fill the queue, let the workers go, and watch for `limit_seconds`. Raises HarnessError when they do not start.

    `watched` runs an exporter too, in `watch`; False has the workers send no task events instead.

    The workers start on the empty queue, are stopped by SIGSTOP while it is filled, and go on together: so their start
    is not measured. As with any prefetch, the first message of each slot waits in a worker's socket by then.
    """
    directory.mkdir(parents=True)
    config = workers.write_config(directory / "config", _topology(load))
    applied = workers.apply_topology(config, broker.amqp_url, broker.management_url)
    if applied.returncode:
        raise HarnessError(applied.stderr)
    effects = directory / "effects"
    effects.touch()
    with contextlib.ExitStack() as stack:
        if watched:
            exporter = stack.enter_context(
                run_exporter(config, broker.amqp_url, directory, management_url=broker.management_url)
            )
            processes.wait_until(
                lambda: exporter.value("celery_workers_exporter_up") == 1, timeout_seconds=30, what="the exporter"
            )
            stack.enter_context(watch(exporter))
        running = _start_workers(stack, broker, config, directory, load, settings, quiet=watched is False)
        _signal_all(running, signal.SIGSTOP)
        _prefill(broker, config, load, settings)
        released_at = time.time()
        _signal_all(running, signal.SIGCONT)
        _watch(effects, load.tasks, released_at + limit_seconds)
        _signal_all(running, signal.SIGKILL)  # what is left is thrown away with the queue
    return _result(settings, effects, released_at)


def _topology(load: Load) -> workers.Topology:
    return workers.make_topology(
        app="benchmarks.sleeper:app",
        classes={"io": workers.make_class("gevent", load.concurrency, "io")},
        queues={"io": workers.make_queue("io", max_length_messages=2 * load.tasks)},
    )


def _start_workers(
    stack: contextlib.ExitStack,
    broker: Broker,
    config: Path,
    directory: Path,
    load: Load,
    settings: str,
    *,
    quiet: bool,
) -> list[workers.Worker]:
    started = []
    for number in range(load.processes):
        process = workers.run_worker(
            config,
            broker.amqp_url,
            directory,
            worker_class="io",
            pod=f"{settings}-{number}",
            python_path=(workers.ROOT,),
            environment={"EFFECTS_FILE": str(directory / "effects")},
            arguments=_arguments(load, settings, number, quiet=quiet),
        )
        started.append(stack.enter_context(process))
    if settings == OURS:
        for worker in started:
            worker.wait_ready()
    else:
        _wait_for_consumers(broker, QUEUES[settings], load.processes)
    return started


def _arguments(load: Load, settings: str, number: int, *, quiet: bool) -> list[str] | None:
    """Return what differs from the Deployment's command, None where nothing does."""
    if settings == STOCK:
        return _stock_arguments(load, number)
    if not quiet:
        return None
    arguments = workers.worker_arguments("io", _topology(load)["classes"]["io"], f"{settings}-{number}")
    arguments.remove("--task-events")
    return arguments


def _stock_arguments(load: Load, number: int) -> list[str]:
    """The same worker with nothing of ours: Celery's own queue and every setting at its default."""
    settings = workers.make_class("gevent", load.concurrency, QUEUES[STOCK])
    return workers.worker_arguments("io", settings, f"stock-{number}", app="benchmarks.sleeper:app")


def _wait_for_consumers(broker: Broker, queue: str, count: int) -> None:
    deadline = time.monotonic() + workers.READY_SECONDS
    with Management(broker.management_url) as api:
        while (stats := api.queues().get(queue)) is None or stats.consumers < count:
            if time.monotonic() > deadline:
                raise HarnessError(f"queue {queue} did not get {count} consumers in {workers.READY_SECONDS:.0f} s")
            time.sleep(0.2)


def _prefill(broker: Broker, config: Path, load: Load, settings: str) -> None:
    environment = workers.base_environment(config, broker.amqp_url, python_path=(workers.ROOT,))
    command = [sys.executable, "-m", "benchmarks.prefill", str(load.tasks), str(load.task_seconds), settings]
    subprocess.run(command, env=environment, check=True, timeout=PREFILL_SECONDS)


def _signal_all(running: Sequence[workers.Worker], number: int) -> None:
    for worker in running:
        worker.process.send_signal(number)


def _watch(effects: Path, tasks: int, until: float) -> None:
    """Return when the file has a line for each task, or at `until` (epoch seconds)."""
    while _count_lines(effects) < tasks and time.time() < until:
        time.sleep(0.2)


def _count_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n")


def _result(settings: str, effects: Path, released_at: float) -> Drain:
    lines = [line.split() for line in effects.read_text().splitlines()]
    last = max((float(line[0]) for line in lines), default=released_at)
    return Drain(settings, round(last - released_at, 3), len(lines), len({line[1] for line in lines}))


@dataclass(frozen=True)
class Verdict:
    """The benchmark's outcome; ratios are to the ideal."""

    load: Load
    ideal_seconds: float
    limit_ratio: float
    ours: tuple[Drain, ...]
    ratios: tuple[float, ...]
    median_ratio: float
    spread: float  # largest minus smallest ratio
    stock: Drain | None
    passed: bool


def judge(load: Load, ours: Sequence[Drain], stock: Drain | None) -> Verdict:
    """Compare with the ideal. A run that lost or repeated a task fails whatever its time."""
    ratios = tuple(round(run.seconds / load.ideal_seconds, 3) for run in ours)
    median = statistics.median(ratios)
    complete = all(run.complete(load) for run in ours)
    return Verdict(
        load=load,
        ideal_seconds=load.ideal_seconds,
        limit_ratio=LIMIT_RATIO,
        ours=tuple(ours),
        ratios=ratios,
        median_ratio=median,
        spread=round(max(ratios) - min(ratios), 3),
        stock=stock,
        passed=complete and median <= LIMIT_RATIO,
    )


def show(verdict: Verdict, console: Console) -> None:
    """Print the outcome for a person."""
    load = verdict.load
    table = Table(title=f"{load.tasks:,} x {load.task_seconds:g} s on {load.processes} gevent-{load.concurrency}")
    for heading in ("settings", "tasks done", "seconds", "x ideal"):
        table.add_column(heading, justify="right" if heading != "settings" else "left")
    table.add_row("ideal", f"{load.tasks:,}", f"{verdict.ideal_seconds:.1f}", "1.00")
    for one, ratio in zip(verdict.ours, verdict.ratios, strict=True):
        table.add_row("the chart's", f"{one.distinct:,}", f"{one.seconds:.1f}", f"{ratio:.2f}")
    if verdict.stock is not None:
        done = verdict.stock.distinct == load.tasks
        shown = f"{verdict.stock.seconds / verdict.ideal_seconds:.2f}" if done else "not done"
        table.add_row("stock Celery", f"{verdict.stock.distinct:,}", f"{verdict.stock.seconds:.1f}", shown)
    console.print(table)
    outcome = "PASS" if verdict.passed else "FAIL"
    console.print(
        f"{outcome}: median {verdict.median_ratio:.2f} x ideal (limit {verdict.limit_ratio:.2f}), "
        f"spread {verdict.spread:.2f}"
    )


@click.command()
@click.option("--tasks", default=Load.tasks, show_default=True, type=click.IntRange(min=1))
@click.option("--repeats", default=3, show_default=True, type=click.IntRange(min=1))
@click.option(
    "--stock-seconds", default=120.0, show_default=True, help="Watch stock Celery that long; 0 leaves it out."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def main(tasks: int, repeats: int, stock_seconds: float, as_json: bool) -> None:
    """Measure how close to the ideal the chart's gevent workers empty a full queue."""
    load = Load(tasks=tasks)
    console = Console(stderr=True)
    # A stall is no result to wait long for, yet the slowest machine should get its figure.
    limit_seconds = 5 * load.ideal_seconds + 10
    with tempfile.TemporaryDirectory(prefix="drain-") as name, acquire(Path(name, "broker")) as broker:
        ours = []
        for number in range(1, repeats + 1):
            console.print(f"the chart's settings, run {number} of {repeats}")
            ours.append(drain(broker, Path(name, f"ours-{number}"), load, limit_seconds=limit_seconds))
        stock = None
        if stock_seconds > 0:
            console.print(f"stock Celery, at most {stock_seconds:.0f} s")
            stock = drain(broker, Path(name, "stock"), load, settings=STOCK, limit_seconds=stock_seconds)
    verdict = judge(load, ours, stock)
    if as_json:
        click.echo(json.dumps(asdict(verdict), indent=2))
    else:
        show(verdict, Console())
    sys.exit(0 if verdict.passed else 1)


if __name__ == "__main__":
    run(main)

"""What being watched costs: `python -m benchmarks.monitoring`.

The drain benchmark in pairs, one run with the workers' task events on and an exporter that reads them and is read
every few seconds, one with neither. Exits 1 when the median of the pairs' ratios is above the limit.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import httpx
from rich.console import Console
from rich.table import Table

from benchmarks.command_line import run
from benchmarks.drain import Drain, Load, drain
from benchmarks.exporting import Exporter
from harness.broker.server import Broker, acquire
from harness.monitoring.series_cost import cost_of

LIMIT_RATIO = 1.03  # issue 8
SCRAPE_SECONDS = 5.0  # three times as often as the chart's PodMonitor


@dataclass(frozen=True)
class Pair:
    """Two runs, and what the exporter of the one used. `series` is what it exposed at the end."""

    plain: Drain
    watched: Drain
    exporter_cpu_seconds: float
    exporter_memory_bytes: float
    events: float
    series: int

    @property
    def ratio(self) -> float:
        """How much longer the watched one took, as a factor."""
        return round(self.watched.seconds / self.plain.seconds, 4)


@dataclass(frozen=True)
class Verdict:
    """The benchmark's outcome."""

    load: Load
    limit_ratio: float
    pairs: tuple[Pair, ...]
    ratios: tuple[float, ...]
    median_ratio: float
    passed: bool


def judge(load: Load, pairs: Sequence[Pair]) -> Verdict:
    """Compare. A run that lost or repeated a task, or whose events were not read, fails whatever its time."""
    ratios = tuple(pair.ratio for pair in pairs)
    median = statistics.median(ratios)
    complete = all(pair.plain.complete(load) and pair.watched.complete(load) for pair in pairs)
    read = all(pair.events >= load.tasks for pair in pairs)
    return Verdict(load, LIMIT_RATIO, tuple(pairs), ratios, median, complete and read and median <= LIMIT_RATIO)


class Watcher:
    """Reads an exporter's metrics again and again, as Prometheus does, and keeps what it read last."""

    def __init__(self) -> None:
        self.text = ""

    @contextlib.contextmanager
    def watch(self, exporter: Exporter) -> Iterator[None]:
        """Read until the block ends, and once more then."""
        ended = threading.Event()

        def read() -> None:
            while not ended.wait(SCRAPE_SECONDS):
                with contextlib.suppress(httpx.HTTPError):
                    self.text = exporter.text()

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self.text = exporter.text()

    def value(self, name: str) -> float:
        """Return a series without labels; 0 where there is none."""
        lines = (line.split() for line in self.text.splitlines() if line.startswith(f"{name} "))
        return next((float(value) for _, value in lines), 0.0)


def measure(broker: Broker, directory: Path, load: Load, *, watched_first: bool, limit_seconds: float) -> Pair:
    """Run one pair."""
    watcher = Watcher()
    runs = {}
    for watched in (watched_first, not watched_first):
        runs[watched] = drain(
            broker,
            directory / ("watched" if watched else "plain"),
            load,
            limit_seconds=limit_seconds,
            watched=watched,
            watch=watcher.watch,
        )
    return Pair(
        plain=runs[False],
        watched=runs[True],
        exporter_cpu_seconds=watcher.value("process_cpu_seconds_total"),
        exporter_memory_bytes=watcher.value("process_resident_memory_bytes"),
        events=watcher.value("celery_workers_events_total"),
        series=cost_of(watcher.text).at(pods=0, tasks=1),
    )


def show(verdict: Verdict, console: Console) -> None:
    """Print the outcome for a person."""
    load = verdict.load
    table = Table(title=f"{load.tasks:,} x {load.task_seconds:g} s on {load.processes} gevent-{load.concurrency}")
    for heading in ("plain s", "watched s", "ratio", "events", "exporter CPU s", "exporter MiB", "series"):
        table.add_column(heading, justify="right")
    for pair in verdict.pairs:
        table.add_row(
            f"{pair.plain.seconds:.2f}",
            f"{pair.watched.seconds:.2f}",
            f"{pair.ratio:.3f}",
            f"{pair.events:,.0f}",
            f"{pair.exporter_cpu_seconds:.2f}",
            f"{pair.exporter_memory_bytes / 2**20:.0f}",
            f"{pair.series}",
        )
    console.print(table)
    outcome = "PASS" if verdict.passed else "FAIL"
    console.print(f"{outcome}: median ratio {verdict.median_ratio:.3f} (limit {verdict.limit_ratio:.2f})")


@click.command()
@click.option("--tasks", default=Load.tasks, show_default=True, type=click.IntRange(min=1))
@click.option("--pairs", default=5, show_default=True, type=click.IntRange(min=1))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def main(tasks: int, pairs: int, as_json: bool) -> None:
    """Measure what events and the exporter cost the workers."""
    load = Load(tasks=tasks)
    console = Console(stderr=True)
    limit_seconds = 5 * load.ideal_seconds + 10
    measured = []
    with tempfile.TemporaryDirectory(prefix="monitoring-") as name, acquire(Path(name, "broker")) as broker:
        for number in range(1, pairs + 1):
            console.print(f"pair {number} of {pairs}")
            place = Path(name, f"pair-{number}")
            # Which comes first alternates, so that a machine that slows down favours neither.
            first = number % 2 == 0
            measured.append(measure(broker, place, load, watched_first=first, limit_seconds=limit_seconds))
    verdict = judge(load, measured)
    if as_json:
        click.echo(json.dumps(asdict(verdict), indent=2))
    else:
        show(verdict, Console())
    sys.exit(0 if verdict.passed else 1)


if __name__ == "__main__":
    run(main)

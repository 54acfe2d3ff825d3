"""What a circuit breaker adds to a call on gevent: `python -m benchmarks.breaker`.

200 greenlets make calls that wait 100 ms, with and without a breaker on a real Redis, by turns in one process. Exits 1
when the breaker adds more than 2 ms to the 95th percentile, with a dependency that is well or one of whose calls every
hundredth fails, so that failures and successes have to be reported.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

# ruff: noqa: E402 - gevent wants to be first
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import gevent
from rich.console import Console
from rich.table import Table

from benchmarks.command_line import run
from celery_workers.breaker import CircuitBreaker
from celery_workers.shared import SharedRedis
from harness.errors import HarnessError
from harness.services import redis as redis_service

LIMIT_MS = 2.0  # issue 6
CALL_SECONDS = 0.1
FAILURES = {"well": 0, "1 % fail": 100}  # every so manieth call


class CallFailedError(Exception):
    """What the dependency raises."""


@dataclass(frozen=True)
class Round:
    """One turn of all greenlets; milliseconds are those a call took, its wait included."""

    dependency: str
    breaker: bool
    calls: int
    p50_ms: float
    p95_ms: float
    calls_a_second: float


def one_round(
    guard: Callable[[], AbstractContextManager[object]], dependency: str, *, breaker: bool, greenlets: int, calls: int
) -> Round:
    """Let each greenlet make its calls one after the other, the greenlets' starts spread over one call."""
    took: list[float] = []
    every = FAILURES[dependency]

    def caller(number: int) -> None:
        gevent.sleep(CALL_SECONDS * number / greenlets)
        for call in range(calls):
            began = time.perf_counter()
            with suppress(CallFailedError), guard():
                gevent.sleep(CALL_SECONDS)
                if every and (number + call * greenlets) % every == 0:
                    raise CallFailedError
            took.append((time.perf_counter() - began) * 1000)

    started = time.perf_counter()
    gevent.joinall([gevent.spawn(caller, number) for number in range(greenlets)], raise_error=True)
    seconds = time.perf_counter() - started
    cuts = statistics.quantiles(took, n=100)
    return Round(dependency, breaker, len(took), round(cuts[49], 2), round(cuts[94], 2), round(len(took) / seconds, 1))


def measure(shared: SharedRedis, *, rounds: int, greenlets: int, calls: int) -> list[Round]:
    """Make short rounds by turns, so that a busy machine slows both alike."""
    found = []
    for dependency in FAILURES:
        # Never open: a refused call would be a fast one.
        breaker = CircuitBreaker(dependency, redis=shared, failure_threshold=1_000_000)
        one_round(breaker.guard, dependency, breaker=True, greenlets=greenlets, calls=2)  # opens the connections
        for _ in range(rounds):
            for guard in (nullcontext, breaker.guard):
                options = {"breaker": guard is not nullcontext, "greenlets": greenlets, "calls": calls}
                found.append(one_round(guard, dependency, **options))
        if breaker.counters["redis_away"]:
            raise HarnessError("Redis did not answer in time: without its answers there is nothing to measure")
    return found


@dataclass(frozen=True)
class Verdict:
    """The benchmark's outcome: milliseconds added to the 95th percentile, the median of the pairs of rounds."""

    limit_ms: float
    added_ms: dict[str, float]
    rounds: tuple[Round, ...]
    passed: bool


def judge(rounds: list[Round]) -> Verdict:
    """Compare each round with the one without a breaker before it."""
    added = {}
    for dependency in FAILURES:
        of = [one for one in rounds if one.dependency == dependency]
        pairs = zip(of[::2], of[1::2], strict=True)
        added[dependency] = round(statistics.median(with_it.p95_ms - without.p95_ms for without, with_it in pairs), 2)
    return Verdict(LIMIT_MS, added, tuple(rounds), all(value <= LIMIT_MS for value in added.values()))


def show(verdict: Verdict, console: Console) -> None:
    """Print the outcome for a person."""
    table = Table(title=f"calls of {CALL_SECONDS * 1000:.0f} ms, medians of the rounds")
    for heading in ("dependency", "breaker", "calls", "a second", "p50 ms", "p95 ms"):
        table.add_column(heading, justify="right" if heading not in ("dependency", "breaker") else "left")
    for dependency in FAILURES:
        for breaker in (False, True):
            of = [one for one in verdict.rounds if (one.dependency, one.breaker) == (dependency, breaker)]
            rate, middle, tail = (
                statistics.median(getattr(one, name) for one in of) for name in ("calls_a_second", "p50_ms", "p95_ms")
            )
            figures = (f"{sum(one.calls for one in of):,}", f"{rate:,.0f}", f"{middle:.2f}", f"{tail:.2f}")
            table.add_row(dependency, "yes" if breaker else "no", *figures)
    console.print(table)
    added = ", ".join(f"{value:+.2f} ms ({dependency})" for dependency, value in verdict.added_ms.items())
    console.print(f"{'PASS' if verdict.passed else 'FAIL'}: adds {added} at p95 (limit {verdict.limit_ms:.0f})")


@click.command()
@click.option("--greenlets", default=200, show_default=True, type=click.IntRange(min=1))
@click.option("--calls", default=10, show_default=True, type=click.IntRange(min=2), help="Of each greenlet, a round.")
@click.option("--repeats", default=12, show_default=True, type=click.IntRange(min=1))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def main(greenlets: int, calls: int, repeats: int, as_json: bool) -> None:
    """Measure what a circuit breaker adds to a call."""
    with tempfile.TemporaryDirectory(prefix="breaker-") as name, redis_service.run(Path(name)) as running:
        shared = SharedRedis(running.url, prefix=f"bench-{Path(name).name}")
        verdict = judge(measure(shared, rounds=repeats, greenlets=greenlets, calls=calls))
    if as_json:
        click.echo(json.dumps(asdict(verdict), indent=2))
    else:
        show(verdict, Console())
    sys.exit(0 if verdict.passed else 1)


if __name__ == "__main__":
    run(main)

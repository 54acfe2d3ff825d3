"""Compare the autoscaler's core with Kubernetes' own controller on random hours; see tools/hpa-oracle/README.md.

    python -m tests.conformance [--hours 4000] [--seed 1] [--jobs 2] [--out build/conformance]
    python -m tests.conformance --keep build/conformance/differs-17.json    # from now on the unit tests replay it
    python -m tests.conformance --record                                    # the unit tests' other traces, anew

Exit 0 when every decision agrees, 1 when one differs (its hour is shrunk and written down), 2 when it cannot be told.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from harness import tools
from harness.errors import HarnessError
from harness.files import write_atomically
from tests.conformance import kept
from tests.conformance.compare import Compared, compare
from tests.conformance.coverage import Coverage
from tests.conformance.oracle import CONTROLLER, Controller

HOURS = 4000
CHUNK_HOURS = 25
SHRUNK = 5  # of the hours that differ; the others' seeds are named
OUT = Path("build/conformance")
RESULT = "result.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, compare, report."""
    options = _parser().parse_args(arguments)
    try:
        if options.keep:
            print(f"kept in {kept.keep(options.keep)}")
            return 0
        controller = Controller()
        if options.record:
            print(f"{kept.record(controller, options.seed):,} bytes of traces")
            return 0
        return _compare(controller, options)
    except (HarnessError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--hours", type=_positive, default=HOURS)
    parser.add_argument("--seed", type=int, default=1, help="first seed; an hour has one each")
    parser.add_argument("--jobs", type=_positive, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=OUT, help=f"where {RESULT} and hours that differ are written")
    parser.add_argument(
        "--keep", type=Path, metavar="FILE", help="add a shrunk hour to the unit tests' traces and stop"
    )
    parser.add_argument("--record", action="store_true", help="write the unit tests' other traces anew and stop")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def _compare(controller: Controller, options: argparse.Namespace) -> int:
    seeds = range(options.seed, options.seed + options.hours)
    started_at, started = datetime.now(UTC), time.monotonic()
    print(f"seeds {seeds[0]}-{seeds[-1]}, Kubernetes {tools.pinned_version(CONTROLLER)}", flush=True)
    whole = _all(controller, seeds, options.jobs)
    result = {
        "started_at": started_at.isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - started, 1),
        "seeds": {"first": seeds[0], "last": seeds[-1]},
        "hours": len(seeds),
        "decisions": whole.decisions,
        "differing": list(whole.differing),
        "versions": _versions(),
        "coverage": {name: {"hours": hours, "decisions": count} for name, hours, count in whole.coverage.rows()},
    }
    options.out.mkdir(parents=True, exist_ok=True)
    write_atomically(options.out / RESULT, json.dumps(result, indent=2) + "\n")
    _show(whole)
    for seed in whole.differing[:SHRUNK]:
        path = kept.write_difference(seed, controller, options.out)
        print(f"seed {seed} differs: {path}; keep it with: python -m tests.conformance --keep {path}", flush=True)
    print(
        f"seeds {seeds[0]}-{seeds[-1]}: {len(seeds):,} hours, {whole.decisions:,} decisions, "
        f"{len(whole.differing)} hours differ {list(whole.differing) or ''}".rstrip()
        + f"; {result['seconds']:,.0f} s; {options.out / RESULT}"
    )
    return 1 if whole.differing else 0


def _all(controller: Controller, seeds: range, jobs: int) -> Compared:
    chunks = [seeds[i : i + CHUNK_HOURS] for i in range(0, len(seeds), CHUNK_HOURS)]
    decisions, differing, met, hours = 0, [], Coverage(), 0
    with ProcessPoolExecutor(jobs) as pool:
        for chunk, one in zip(chunks, pool.map(compare, chunks, [controller] * len(chunks)), strict=True):
            decisions, hours = decisions + one.decisions, hours + len(chunk)
            differing += one.differing
            met.add(one.coverage)
            print(f"{hours:,} hours, {decisions:,} decisions, {len(differing)} differing", flush=True)
    return Compared(decisions, tuple(differing), met)


def _versions() -> dict[str, str]:
    return {
        "kubernetes": tools.pinned_version(CONTROLLER),
        "celery-workers": version("celery-workers"),
        "python": platform.python_version(),
    }


def _show(whole: Compared) -> None:
    print(f"{'met':42}{'hours':>8}{'decisions':>12}")
    for name, hours, decisions in whole.coverage.rows():
        print(f"{name:42}{hours:>8,}{decisions:>12,}")


if __name__ == "__main__":
    sys.exit(main())

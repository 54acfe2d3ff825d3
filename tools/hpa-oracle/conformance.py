"""Compare the core with Kubernetes' own controller on random hours; see README.md.

    python tools/hpa-oracle/conformance.py --oracle PATH [--hours 300] [--seed 1] [--jobs 2] [--out DIR]
    python tools/hpa-oracle/conformance.py --oracle PATH --record      # the traces that the unit tests replay

Exit 0 when every decision agrees, 1 when one differs (it is shrunk and kept in --out).
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from hours import Document, flags_of, make_hour

from harness.autoscaling import HpaSpec
from harness.autoscaling.replay import replay
from tests.unit.autoscaling import trace_files

CHUNK_HOURS = 25
RECORDED = {"external": (200, 2400.0), "pods": (600, 450.0)}  # candidates, seconds of each
RECORDED_BYTES = 130_000
ORACLE_TIMEOUT_SECONDS = 600


def ask_oracle(oracle: Path, hours: Sequence[Document]) -> list[list[int]]:
    """Return the controller's decisions for each hour. Raises RuntimeError with its output when it fails."""
    with tempfile.TemporaryDirectory() as directory:
        source, target = Path(directory, "hours"), Path(directory, "answers")
        source.write_text("".join(json.dumps(hour) + "\n" for hour in hours))
        done = subprocess.run(
            [str(oracle), "-test.run", "^TestDecide$", "-test.timeout", f"{ORACLE_TIMEOUT_SECONDS}s"],
            env={**os.environ, "ORACLE_IN": str(source), "ORACLE_OUT": str(target)},
            capture_output=True,
            text=True,
            timeout=ORACLE_TIMEOUT_SECONDS + 30,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"the oracle failed ({done.returncode}):\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
        return [json.loads(line)["decisions"] for line in target.read_text().splitlines()]


def ask_core(hour: Document) -> list[int]:
    """Return the core's decisions for an hour."""
    spec = HpaSpec.from_manifest(hour["hpa"], controller=flags_of(hour))
    return [decision.desired for _, decision in replay(spec, hour["observations"])]


def first_difference(hour: Document, oracle: Path) -> int | None:
    """Return the index of the first sync on which the two disagree."""
    ours, theirs = ask_core(hour), ask_oracle(oracle, [hour])[0]
    return next((i for i, pair in enumerate(zip(ours, theirs, strict=True)) if pair[0] != pair[1]), None)


def check_chunk(task: tuple[Path, Sequence[int]]) -> tuple[int, list[int]]:
    """Return (decisions compared, seeds that differ) of one chunk of seeds."""
    oracle, seeds = task
    hours = [make_hour(seed) for seed in seeds]
    compared, differing = 0, []
    for seed, hour, theirs in zip(seeds, hours, ask_oracle(oracle, hours), strict=True):
        compared += len(theirs)
        if ask_core(hour) != theirs:
            differing.append(seed)
    return compared, differing


def shrink(hour: Document, differs: Callable[[Document], bool]) -> Document:
    """Return a smaller hour that still differs: syncs, pods, metrics and rules are dropped while they can be."""
    changed = True
    while changed:
        changed = False
        for smaller in _smaller(hour):
            if differs(smaller):
                hour, changed = smaller, True
                break
    return hour


def _smaller(hour: Document) -> Iterator[Document]:
    count = len(hour["observations"])
    for size in (count // 2, count // 4, 4, 1):
        for start in range(0, count, size) if 0 < size < count else ():
            yield _edit(hour, lambda h, a=start, b=start + size: h["observations"].__delitem__(slice(a, b)))
    for name in sorted({pod["name"] for seen in hour["observations"] for pod in seen.get("pods", [])}):
        yield _edit(hour, lambda h, n=name: _drop_pod(h, n))
    for index in range(len(hour["hpa"]["spec"]["metrics"])):
        if len(hour["hpa"]["spec"]["metrics"]) > 1:
            yield _edit(hour, lambda h, i=index: h["hpa"]["spec"]["metrics"].pop(i))
    for direction in list(hour["hpa"]["spec"].get("behavior", {})):
        yield _edit(hour, lambda h, d=direction: h["hpa"]["spec"]["behavior"].pop(d))


def _edit(hour: Document, change: Callable[[Document], object]) -> Document:
    smaller = copy.deepcopy(hour)
    change(smaller)
    return smaller


def _drop_pod(hour: Document, name: str) -> None:
    for seen in hour["observations"]:
        if "pods" in seen:
            seen["pods"] = [pod for pod in seen["pods"] if pod["name"] != name]


def keep_difference(seed: int, oracle: Path, directory: Path) -> Path:
    """Shrink the hour of a seed that differs and write it with both answers."""

    def differs(hour: Document) -> bool:
        try:
            return bool(hour["observations"]) and first_difference(hour, oracle) is not None
        except (RuntimeError, ValueError):
            return False

    hour = make_hour(seed)
    index = first_difference(hour, oracle)
    small = shrink(_edit(hour, lambda h: h["observations"].__delitem__(slice((index or 0) + 1, None))), differs)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"differs-{seed}.json"
    path.write_text(
        json.dumps({**small, "core": ask_core(small), "decisions": ask_oracle(oracle, [small])[0]}, indent=1)
    )
    return path


def record(oracle: Path, first_seed: int) -> int:
    """Write the traces for the unit tests: hours without pods, and shorter ones with pods. Return their bytes.

    Of many candidates those with the most changes to the byte are kept.
    """
    trace_files.DIRECTORY.mkdir(exist_ok=True)
    written = 0
    for name, (count, seconds) in RECORDED.items():
        simple = name == "external"
        hours = [make_hour(seed, seconds=seconds, simple=simple) for seed in range(first_seed, first_seed + count)]
        hours = [hour for hour in hours if simple or any("pods" in seen for seen in hour["observations"])]
        lines = [_trace_line(*pair) for pair in zip(hours, ask_oracle(oracle, hours), strict=True)]
        kept, size = [], 0
        for _, line in sorted(lines, reverse=True):
            if size + len(line) + 1 <= RECORDED_BYTES:
                kept.append(line)
                size += len(line) + 1
        (trace_files.DIRECTORY / f"{name}.jsonl").write_text("".join(line + "\n" for line in kept))
        written += size
    return written


def _trace_line(hour: Document, decisions: list[int]) -> tuple[float, str]:
    """Return (changes to the byte, trace as a line)."""
    line = json.dumps(trace_files.pack(hour, decisions), separators=(",", ":"))
    changes = sum(seen["replicas"]["spec"] != to for seen, to in zip(hour["observations"], decisions, strict=True))
    return changes / len(line), line


def main() -> int:
    """Parse, compare, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--oracle", type=Path, required=True, help="the compiled oracle (go test -c)")
    parser.add_argument("--hours", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1, help="first seed; an hour has one each")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("build/conformance"))
    parser.add_argument("--record", action="store_true", help="write the unit tests' traces and stop")
    options = parser.parse_args()
    if options.record:
        print(f"{trace_files.DIRECTORY}: {record(options.oracle, options.seed):,} bytes")
        return 0
    seeds = range(options.seed, options.seed + options.hours)
    chunks = [(options.oracle, seeds[i : i + CHUNK_HOURS]) for i in range(0, len(seeds), CHUNK_HOURS)]
    compared, differing = 0, []
    with ProcessPoolExecutor(options.jobs) as pool:
        for done, (count, seeds_differing) in enumerate(pool.map(check_chunk, chunks), start=1):
            compared += count
            differing += seeds_differing
            print(
                f"{min(done * CHUNK_HOURS, options.hours)} hours, {compared:,} decisions, {len(differing)} differing",
                flush=True,
            )
    for seed in differing[:5]:
        print(f"seed {seed} differs: {keep_difference(seed, options.oracle, options.out)}")
    print(f"seeds {seeds[0]}-{seeds[-1]}: {compared:,} decisions, {len(differing)} hours differ")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())

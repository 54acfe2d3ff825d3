"""Hours written down: those that differ, for a person; those that unit tests replay without the oracle."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conformance.compare import desired
from tests.conformance.hours import Document, make_hour
from tests.conformance.oracle import Decisions, Oracle
from tests.conformance.shrink import smallest
from tests.unit.autoscaling import trace_files

RECORDED = {"external": (200, 2400.0), "pods": (600, 450.0)}  # candidates, seconds of each
RECORDED_BYTES = 130_000
KEPT = trace_files.DIRECTORY / "kept.jsonl"


def write_difference(seed: int, oracle: Oracle, directory: Path) -> Path:
    """Shrink the hour of a seed that differs and write it down with both answers."""
    small = smallest(make_hour(seed), oracle)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"differs-{seed}.json"
    path.write_text(json.dumps({**small, "core": desired(small), "decisions": oracle([small])[0]}, indent=1) + "\n")
    return path


def keep(path: Path) -> Path:
    """Add an hour that `write_difference` has written to those the unit tests replay. Return where."""
    hour = json.loads(path.read_text())
    line = _line(hour, hour["decisions"])
    lines = KEPT.read_text().splitlines() if KEPT.exists() else []
    if line not in lines:
        KEPT.write_text("".join(f"{one}\n" for one in [*lines, line]))
    return KEPT


def record(oracle: Oracle, first_seed: int) -> int:
    """Write the traces for the unit tests: hours without pods, and shorter ones with pods. Return their bytes.

    Of many candidates those with the most changes to the byte are kept.
    """
    trace_files.DIRECTORY.mkdir(exist_ok=True)
    written = 0
    for name, (count, seconds) in RECORDED.items():
        simple = name == "external"
        hours = [make_hour(seed, seconds=seconds, simple=simple) for seed in range(first_seed, first_seed + count)]
        hours = [hour for hour in hours if simple or any("pods" in seen for seen in hour["observations"])]
        lines = [(_changes(*pair), _line(*pair)) for pair in zip(hours, oracle(hours), strict=True)]
        kept, size = [], 0
        for _, line in sorted(lines, key=lambda one: (one[0] / len(one[1]), one[1]), reverse=True):
            if size + len(line) + 1 <= RECORDED_BYTES:
                kept.append(line)
                size += len(line) + 1
        (trace_files.DIRECTORY / f"{name}.jsonl").write_text("".join(line + "\n" for line in kept))
        written += size
    return written


def _changes(hour: Document, decisions: Decisions) -> int:
    pairs = zip(hour["observations"], decisions, strict=True)
    return sum(seen["replicas"]["spec"] != to for seen, to in pairs)


def _line(hour: Document, decisions: Decisions) -> str:
    return json.dumps(trace_files.pack(hour, decisions), separators=(",", ":"))

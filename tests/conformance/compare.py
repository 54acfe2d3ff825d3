"""What the core decides on an hour, and where the oracle decides otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.autoscaling import Decision, HpaSpec
from harness.autoscaling.replay import replay
from tests.conformance import coverage
from tests.conformance.coverage import Coverage
from tests.conformance.hours import Document, flags_of, live
from tests.conformance.oracle import Oracle


@dataclass(frozen=True)
class Compared:
    """What came of some seeds: decisions compared, seeds that differ, and what the hours met."""

    decisions: int
    differing: tuple[int, ...]
    coverage: Coverage


def decided(hour: Document) -> list[Decision]:
    """Return the core's decisions for an hour."""
    spec = HpaSpec.from_manifest(hour["hpa"], controller=flags_of(hour))
    return [decision for _, decision in replay(spec, hour["observations"])]


def desired(hour: Document) -> list[int]:
    """Return the replicas the core sets at each sync of an hour."""
    return [decision.desired for decision in decided(hour)]


def compare(seeds: Sequence[int], oracle: Oracle) -> Compared:
    """Ask both about the hours of these seeds."""
    lived = [live(seed) for seed in seeds]
    count, differing, met = 0, [], Coverage()
    for seed, (hour, ours), theirs in zip(seeds, lived, oracle([hour for hour, _ in lived]), strict=True):
        count += len(theirs)
        met.add(coverage.of_hour(hour, ours))
        if [decision.desired for decision in ours] != theirs:
            differing.append(seed)
    return Compared(count, tuple(differing), met)


def first_difference(hour: Document, oracle: Oracle) -> int | None:
    """Return the index of the first sync on which the two disagree."""
    pairs = zip(desired(hour), oracle([hour])[0], strict=True)
    return next((i for i, (ours, theirs) in enumerate(pairs) if ours != theirs), None)

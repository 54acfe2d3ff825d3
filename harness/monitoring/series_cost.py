"""How many series a scrape costs, and would with more pods and tasks: reckoned from what a real run exposed. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample


@dataclass(frozen=True)
class SeriesCost:
    """The series of one scrape: those that are there whatever grows, and those of each pod and each task name."""

    fixed: int
    per_pod: int
    per_task: int

    def at(self, *, pods: int, tasks: int) -> int:
        """Return the series with so many pods and task names."""
        return self.fixed + self.per_pod * pods + self.per_task * tasks

    def __add__(self, other: SeriesCost) -> SeriesCost:
        return SeriesCost(self.fixed + other.fixed, self.per_pod + other.per_pod, self.per_task + other.per_task)


def cost_of(text: str) -> SeriesCost:
    """Return what an exposition costs.

    A series with a label `pod` is there for each pod, one with a label `task` for each task name; every other one does
    not grow with either. A pod or a task counts as the one with the most series does: tasks that never succeeded lack
    their histogram.
    """
    samples = list(_samples(text))
    pods = Counter(sample.labels["pod"] for sample in samples if "pod" in sample.labels)
    tasks = Counter(sample.labels["task"] for sample in samples if "task" in sample.labels)
    return SeriesCost(
        fixed=len(samples) - pods.total() - tasks.total(),
        per_pod=max(pods.values(), default=0),
        per_task=max(tasks.values(), default=0),
    )


def by_name(text: str) -> dict[str, int]:
    """Return how many series each name has, the most first."""
    return dict(Counter(sample.name for sample in _samples(text)).most_common())


def _samples(text: str) -> Iterable[Sample]:
    for family in text_string_to_metric_families(text):
        yield from family.samples

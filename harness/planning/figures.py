"""What a plan must know about workers and cannot read from a values file: how long they start, what they cost. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from harness.errors import InputError
from harness.simulation.model import CostByRate

FORMAT_VERSION = 5
ASSUMED = "assumed"
MIB = 1024**2
NEVER_MEASURED = ("warm_up_cpu_seconds", "probe_cpu_seconds")
"""Figures of a pool that no metrics tell from a start and from tasks."""
BACKGROUND = "background_cores"
HOST_COST = "host_cost"
MESSAGE_COST = "message_cost"
POD_CORES = "pod_cores"
FEW_SHARE = "few_share"
_OF_OTHER_FORM = ("pools", "assumed", BACKGROUND, POD_CORES, HOST_COST)
BEYOND = 2.0
"""Up to how many times the highest rate it was measured at a cost is taken to go on falling."""
START_ALONE = "start_alone"
"""Named among what is assumed of a pool whose workers were only seen to start beside others, which takes longer."""


@dataclass(frozen=True)
class CostAtRates:
    """How what a task costs falls with how many there are a second: power laws between rates it was measured at.

    At `per_second` it is what the other figures say; at `crowd_per_second` the `crowd_share` of that, at
    `few_per_second` the `few_share`, which is 1 at least.
    """

    per_second: float
    crowd_per_second: float
    crowd_share: float
    few_per_second: float
    few_share: float

    @property
    def shows_few(self) -> bool:
        """Whether a rate below `per_second` was measured too."""
        return self.few_per_second < self.per_second

    @property
    def exponent(self) -> float:
        """By which power of the rate a task's cost falls beyond `per_second`."""
        return -math.log(self.crowd_share) / math.log(self.crowd_per_second / self.per_second)

    @property
    def below_exponent(self) -> float:
        """By which power it falls up to `per_second`; 0 where no lower rate was measured."""
        if not self.shows_few:
            return 0.0
        return math.log(self.few_share) / math.log(self.per_second / self.few_per_second)

    def share(self, per_second: float) -> float:
        """Return what a task costs at a rate, in times of what it costs at `per_second`."""
        law = self.by_rate()
        rate = min(max(per_second, law.least_per_second), law.most_per_second)
        return float((law.per_second / rate) ** (law.exponent if rate > law.per_second else law.below_exponent))

    def by_rate(self) -> CostByRate:
        """Return the law. Of fewer than were measured a cost is the same, of more it falls on for a while."""
        return CostByRate(
            per_second=self.per_second,
            exponent=self.exponent,
            least_per_second=self.few_per_second,
            most_per_second=self.crowd_per_second * BEYOND,
            below_exponent=self.below_exponent,
        )


@dataclass(frozen=True, kw_only=True)
class PoolFigures:
    """One kind of worker. Times of a start count from the pod's creation.

    `cpu_factor` is what a worker uses for a task in CPU time, in times of what scenarios state, which was measured on
    another day and perhaps another machine. `host_cpu_seconds` is what a task costs outside the worker (broker,
    stand-ins), `overhead_seconds` how long it holds its slot beyond its waiting and its CPU time.
    `warm_up_cpu_seconds` is what a worker does once, with its first tasks, `probe_cpu_seconds` one attempt of the
    startup probe. `message_cpu_seconds` is what a worker uses for a task that computes next to nothing, `message_cost`
    how that falls with the rate of one worker.
    """

    start_seconds: float
    ready_seconds: float
    start_cpu_seconds: float
    warm_up_cpu_seconds: float
    probe_cpu_seconds: float
    cpu_factor: float
    overhead_seconds: float
    idle_cores: float
    host_cpu_seconds: float
    memory_bytes: int
    memory_bytes_per_task: int
    message_cpu_seconds: float = 0.0
    message_cost: CostAtRates | None = None  # None: the same at every rate


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Everything measured, and where it was. `source` is the calibration run's id, or "assumed".

    `host_factor` is what publisher, broker and stand-ins cost in CPU time here, in times of what scenarios state.
    `host_cost` is how that falls with the rate of all tasks. `background_cores` is what the machine that everything
    shares is busy with besides the workers while there is next to nothing to do, `pod_cores` what it uses for each
    worker's pod that is there, beside what that uses itself.
    """

    pools: Mapping[str, PoolFigures]
    confirm_seconds: float
    host_factor: float
    source: str
    runtime: str
    machine: Mapping[str, Any]
    host_cost: CostAtRates | None = None  # None: the same at every rate
    background_cores: float | None = None  # None: as assumed of the place
    pod_cores: float | None = None  # None: not known, and in `background_cores`
    measured_at: float | None = None  # seconds since the epoch
    assumed: tuple[str, ...] = ()  # what the calibration could not measure, and was taken from the defaults

    @property
    def never_alone(self) -> tuple[str, ...]:
        """The pools of which no worker was seen to start alone: `start_seconds` is that of one beside others."""
        return tuple(name.removesuffix(f".{START_ALONE}") for name in self.assumed if name.endswith(f".{START_ALONE}"))

    @property
    def is_assumed(self) -> bool:
        """Whether nothing of this was measured."""
        return self.source == ASSUMED

    def of(self, pool: str) -> PoolFigures:
        """Return a pool's figures; solo and threads workers start alike."""
        return self.pools.get(pool) or self.pools.get("threads") or ASSUMED_POOLS["threads"]

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"version": FORMAT_VERSION, **asdict(self), "assumed": list(self.assumed)}

    @classmethod
    def from_dict(cls, document: Any, *, source: str) -> Figures:
        """Build from the JSON form. Raises InputError naming the file, the key and what is expected."""
        if not isinstance(document, Mapping) or document.get("version") != FORMAT_VERSION:
            raise InputError(f"{source}: no calibration of this version; make one with `harness calibrate`")
        try:
            pools = {name: _pool(values, f"{source}: pools.{name}") for name, values in document["pools"].items()}
            values = {item.name: document[item.name] for item in fields(cls) if item.name not in _OF_OTHER_FORM}
            background, pod_cores = (_known(document, name, source) for name in (BACKGROUND, POD_CORES))
            cost = _cost(document[HOST_COST], f"{source}: {HOST_COST}")
            assumed = tuple(document["assumed"])
            return cls(
                pools=pools,
                assumed=assumed,
                background_cores=background,
                pod_cores=pod_cores,
                host_cost=cost,
                **values,
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{source}: {error} is missing or malformed; make it anew: harness calibrate") from error


def assumed_pool(pool: str) -> PoolFigures:
    """Return what is assumed of a kind of worker; solo and threads workers are alike."""
    return ASSUMED_POOLS.get(pool, ASSUMED_POOLS["threads"])


def stated_shares(cpu_seconds: float, pool: str) -> tuple[float, float]:
    """Return what of a task's stated CPU time is its worker's, and what is the rest of the machine's.

    The rest has what is assumed of it, or all where less is stated.
    """
    outside = min(assumed_pool(pool).host_cpu_seconds, cpu_seconds)
    return cpu_seconds - outside, outside


def _known(document: Mapping[str, Any], name: str, source: str) -> float | None:
    value = document[name]
    if value is None:  # a place that has no machine of its own
        return None
    return _not_negative(value, f"{source}: {name}")


def _pool(values: Mapping[str, Any], where: str) -> PoolFigures:
    known = {item.name for item in fields(PoolFigures)} - {MESSAGE_COST}
    for name in known:
        _not_negative(values.get(name), f"{where}.{name}")
    cost = _cost(values[MESSAGE_COST], f"{where}.{MESSAGE_COST}")
    return PoolFigures(**{name: values[name] for name in known}, message_cost=cost)


def _cost(document: Any, where: str) -> CostAtRates | None:
    if document is None:
        return None
    if not isinstance(document, Mapping):
        raise InputError(f"{where} is {document!r}, expected null or the rates and the share of a cost")
    names = [item.name for item in fields(CostAtRates)]
    found = CostAtRates(**{name: _not_negative(document.get(name), f"{where}.{name}") for name in names})
    if not 0 < found.few_per_second <= found.per_second < found.crowd_per_second:
        raise InputError(f"{where}: rates must be above 0, that of few at most per_second, the crowd's the greatest")
    if not 0 < found.crowd_share <= 1 <= found.few_share:
        raise InputError(f"{where}: the crowd's share must be above 0 and at most 1, that of few at least 1")
    return found


def _not_negative(value: Any, where: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or value < 0:
        raise InputError(f"{where} is {value!r}, expected a number that is not negative")
    return value


ASSUMED_CONFIRM_SECONDS, ASSUMED_HOST_FACTOR = 0.002, 1.0
# Rounded from runs of this project's workers on two cores; a calibration replaces them. A probe's attempt imports
# Celery and the release's settings, which took 0.20 to 0.27 s of CPU time in a pod.
ASSUMED_POOLS: Mapping[str, PoolFigures] = {
    "gevent": PoolFigures(
        start_seconds=2.0, ready_seconds=7.0, start_cpu_seconds=1.8, warm_up_cpu_seconds=0.2, probe_cpu_seconds=0.25,
        cpu_factor=1.0, overhead_seconds=0.03, idle_cores=0.005, host_cpu_seconds=0.0008, memory_bytes=62 * MIB,
        memory_bytes_per_task=60_000,
    ),
    "prefork": PoolFigures(
        start_seconds=2.5, ready_seconds=7.0, start_cpu_seconds=2.2, warm_up_cpu_seconds=0.4, probe_cpu_seconds=0.25,
        cpu_factor=1.0, overhead_seconds=0.03, idle_cores=0.005, host_cpu_seconds=0.0015, memory_bytes=150 * MIB,
        memory_bytes_per_task=0,
    ),
    "threads": PoolFigures(
        start_seconds=2.0, ready_seconds=7.0, start_cpu_seconds=1.8, warm_up_cpu_seconds=0.1, probe_cpu_seconds=0.25,
        cpu_factor=1.0, overhead_seconds=0.03, idle_cores=0.005, host_cpu_seconds=0.001, memory_bytes=62 * MIB,
        memory_bytes_per_task=0,
    ),
}  # fmt: skip


def assumed(runtime: str) -> Figures:
    """Return the figures of a plan that no calibration was made for."""
    return Figures(
        pools=ASSUMED_POOLS, confirm_seconds=ASSUMED_CONFIRM_SECONDS, host_factor=ASSUMED_HOST_FACTOR, source=ASSUMED,
        runtime=runtime, machine={},
    )  # fmt: skip

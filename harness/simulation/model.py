"""What a simulation is given and what it gives back. Times are seconds from the start of the load; pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from celery_workers.backoff import Backoff
from harness.autoscaling import ControllerConfig, HpaSpec, ScaledObject

Pool = Literal["gevent", "prefork", "threads", "solo"]
Overflow = Literal["reject-publish", "reject-publish-dlx", "drop-head"]

NEVER = float("nan")
"""A time of something that did not happen."""


# --- what there is -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fixed:
    """Every run of a task takes as long."""

    seconds: float


@dataclass(frozen=True)
class Lognormal:
    """A skewed time by its mean and its coefficient of variation (standard deviation over mean)."""

    mean_seconds: float
    variation: float


@dataclass(frozen=True)
class Exponential:
    """A time without memory, as queueing theory likes it."""

    mean_seconds: float


@dataclass(frozen=True)
class Empirical:
    """Measured times, each as likely as it was seen."""

    seconds: tuple[float, ...]


Service = Fixed | Lognormal | Exponential | Empirical


@dataclass(frozen=True, kw_only=True)
class Task:
    """A kind of task. `service` is how long it waits for others; `cpu_seconds` is worked on a core besides, half of it
    before the waiting.

    `host_cpu_seconds` is what one run costs the machine outside the worker (stand-ins, broker) where they share it.
    A run fails with `failure_share` and is tried again after `retry_seconds`, at most `max_retries` times; then it is
    dead-lettered. Priority 0 is the lowest; it counts on queues with priorities.
    """

    name: str
    queue: str
    service: Service
    cpu_seconds: float = 0.0
    host_cpu_seconds: float = 0.0
    priority: int = 0
    failure_share: float = 0.0
    max_retries: int = 0
    retry_seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Queue:
    """One queue. None: no limit. The length limit counts messages that wait, not those in work, as RabbitMQ's does."""

    name: str
    max_length_messages: int | None = None
    overflow: Overflow = "reject-publish"
    ttl_seconds: float | None = None
    priorities: bool = False


@dataclass(frozen=True, kw_only=True)
class CostByRate:
    """What an event costs in CPU time at other rates than that at which it was measured: a power law on either side.

    An event that finds its process asleep must wake it; of many a second fewer do. At `per_second` an event costs what
    it was measured to, at others the `(rate / per_second) ** -exponent` fold, between `least` and `most_per_second`;
    `below_exponent` is that of rates below.
    """

    per_second: float
    exponent: float
    least_per_second: float
    most_per_second: float
    below_exponent: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Scaler:
    """What decides on replicas: an HPA, or a ScaledObject with the HPA that KEDA makes of it."""

    hpa: HpaSpec
    keda: ScaledObject | None = None


@dataclass(frozen=True, kw_only=True)
class WorkerClass:
    """One class of workers: its Deployment.

    `slots` is how many tasks one pod works on at once. `cpu_cores` is what one pod can use at most (one for gevent and
    threads, whose Python runs on one core; the limit, or the slots, for prefork); `cpu_limit_cores`, where limits are
    enforced, what its worker and a probe may use together. `overhead_seconds` is how long a run
    holds its slot beyond its service and CPU time (delivery, acknowledgement). A new pod is `image_seconds` late where
    its node has no image, takes `start_seconds` until its worker takes tasks and `ready_seconds` until it counts as
    ready, both from its creation, and needs `start_cpu_seconds` for it. With its first tasks it does what is done once
    (`warm_up_cpu_seconds`: imports, first connections). Its startup probe is a process that needs `probe_cpu_seconds`
    for the attempt that makes the pod ready; those before it are in what making a pod costs. A pod that goes
    takes no more tasks, finishes what it has within `grace_seconds`, and what is left then is delivered again.
    Where cores are short it gets `cpu_weight` times what another process gets; None: as much for each of its threads.
    `message_cpu_seconds` of a task's CPU time are for receiving it, waiting and answering: `message_cost` says what
    they are at a pod's rate.
    """

    name: str
    deployment: str
    pool: Pool
    slots: int
    queues: tuple[str, ...]
    replicas: int
    scaler: Scaler | None = None
    cpu_cores: float = 1.0
    cpu_limit_cores: float | None = None
    cpu_weight: float | None = None
    overhead_seconds: float = 0.0
    image_seconds: float = 0.0
    start_seconds: float = 0.0
    ready_seconds: float = 0.0
    start_cpu_seconds: float = 0.0
    warm_up_cpu_seconds: float = 0.0
    probe_cpu_seconds: float = 0.0
    grace_seconds: float = 300.0
    idle_cores: float = 0.0
    cpu_request_milli: int | None = None
    memory_request_milli: int | None = None  # thousandths of a byte, as the autoscaler counts
    memory_bytes: int = 0  # one pod's, with nothing to do
    memory_bytes_per_task: int = 0
    message_cpu_seconds: float = 0.0
    message_cost: CostByRate | None = None


@dataclass(frozen=True, kw_only=True)
class Publisher:
    """How tasks are offered; the figures of a scenario's `publisher`. `confirm_seconds` is one attempt's round trip."""

    deadline_seconds: float
    attempts_per_second: float
    hold_seconds: float
    backoff: Backoff
    cpu_seconds: float = 0.0
    publishers: int = 1
    confirm_seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Nodes:
    """Where pods run. `cores` is what they share really (None: enough); requests beyond the rooms stay Pending.

    `shared_with_load` says that publisher, broker and stand-ins use the same cores. `milli_cores` and `bytes` are what
    each node has for pods; empty: no limit. `background_cores` are used by others at all times. A node itself computes
    for `pod_cpu_seconds` to make a pod, before the pod's worker can begin, and uses `pod_cores` for each that is there.
    `load_cost` says what publisher, broker and stand-ins use for a task at the rate of all of them.
    """

    cores: float | None = None
    shared_with_load: bool = True
    background_cores: float = 0.0
    pod_cpu_seconds: float = 0.0
    pod_cores: float = 0.0
    rooms: tuple[tuple[int, int], ...] = ()  # (thousandths of a core, bytes) a node
    load_cost: CostByRate | None = None


@dataclass(frozen=True, kw_only=True)
class Clockwork:
    """When controllers look. The first sync after the load's start is at `first_sync_seconds` (at most one period)."""

    controller: ControllerConfig = field(default_factory=ControllerConfig)
    first_sync_seconds: float = 14.5
    reconcile_seconds: float = 0.0
    """What a decision takes; the next one comes a period after it."""
    metrics_resolution_seconds: float = 15.0
    metrics_age_seconds: float = 0.0
    """How old what metrics-server reads of a container is when it reads it; less than its resolution."""
    statistics_seconds: float = 5.0
    """RabbitMQ's collection interval: when KEDA reads a queue's statistics they are half of it old."""
    epoch_seconds: float = 0.0
    """Unix time of the start of the load; only cron triggers look at it."""


@dataclass(frozen=True, kw_only=True)
class Plant:
    """Everything that works on a load."""

    classes: tuple[WorkerClass, ...]
    queues: tuple[Queue, ...]
    publisher: Publisher
    nodes: Nodes = field(default_factory=Nodes)
    clockwork: Clockwork = field(default_factory=Clockwork)


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is offered: for each task, in order of time, when its first attempt is due and its index in `tasks`."""

    tasks: tuple[Task, ...]
    due_seconds: NDArray[np.float64]
    task: NDArray[np.int32]


# --- what comes of it ----------------------------------------------------------------------------------------------

OPEN, DONE, REFUSED, EXPIRED, FAILED, DROPPED = range(6)
"""A task's state in `Trace.state`: still somewhere at the end, done, given up by its publisher, dead-lettered as ..."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One change of a Deployment's replicas, with the controller's reason."""

    t: float
    deployment: str
    before: int
    after: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class Trace:
    """A simulated run. Arrays are as long as the load; a time that never came is NaN."""

    first_attempt: NDArray[np.float64]
    accepted: NDArray[np.float64]
    started: NDArray[np.float64]  # the last run's
    done: NDArray[np.float64]
    state: NDArray[np.int8]
    refusals: NDArray[np.int32]  # refused attempts a task
    refused_at: NDArray[np.float64]  # every refused attempt's time, in order
    refused_task: NDArray[np.int64]  # and whose it was: index into the load
    attempts: int  # publish attempts, all together
    refused_stored: int  # tasks that were refused for good and are in a dead-letter queue all the same
    repeated: int  # runs begun again because their pod went
    seconds: NDArray[np.float64]  # when the samples below were taken, once a second
    ready: Mapping[str, NDArray[np.int64]]  # queue -> messages waiting
    unacked: Mapping[str, NDArray[np.int64]]
    desired: Mapping[str, NDArray[np.int64]]  # deployment -> replicas wanted
    running: Mapping[str, NDArray[np.int64]]
    pods_ready: Mapping[str, NDArray[np.int64]]
    cpu_cores: Mapping[str, NDArray[np.float64]]  # class -> cores used in the second before
    memory_bytes: Mapping[str, NDArray[np.float64]]
    host_cores: NDArray[np.float64]  # all that the machine was asked for
    busy_slots: Mapping[str, NDArray[np.float64]]  # class -> mean slots in use in the second before
    replica_seconds: Mapping[str, float]  # class -> pod-seconds from creation to end
    steps: tuple[Step, ...]
    end_seconds: float
    limit_reached: bool

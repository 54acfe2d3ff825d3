"""What a command wants of which thing, worked out of the objects as they are. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import InputError
from harness.ops import objects
from harness.ops.objects import Document, Setting

CLASS_LABEL = "celery-workers/class"
Wish = dict[str, Setting]


@dataclass(frozen=True)
class Pool:
    """One worker class: its Deployment and what scales that, the Deployment itself where nothing does."""

    name: str
    deployment: Document
    scaler: Document

    @property
    def kind(self) -> str:
        """The kind of the scaling object."""
        return str(self.scaler["kind"])

    @property
    def owner(self) -> str:
        """How things of the scaling object end."""
        return f"{self.kind}/{self.scaler['metadata']['name']}"


def pools(deployments: Sequence[Document], scalers: Sequence[Document]) -> dict[str, Pool]:
    """Return the worker classes by name; an HPA that KEDA has made counts as what KEDA made it of."""
    by_target = {one["spec"]["scaleTargetRef"]["name"]: one for one in scalers if not _is_keda_own(one)}
    found = {}
    for deployment in deployments:
        name = (deployment["metadata"].get("labels") or {}).get(CLASS_LABEL)
        if name:
            found[name] = Pool(name, deployment, by_target.get(deployment["metadata"]["name"], deployment))
    return found


def _is_keda_own(scaler: Document) -> bool:
    owners = scaler["metadata"].get("ownerReferences") or ()
    return any(owner.get("kind") == objects.SCALED_OBJECT for owner in owners)


def scale(pool: Pool, replicas: int, *, raise_max: bool) -> Wish:
    """Return the wish for a floor of so many replicas. Raises InputError for what the scaler would not take."""
    if replicas < 0 or (replicas == 0 and pool.kind == objects.HPA):
        raise InputError(f"REPLICAS {replicas}: a {pool.kind} needs {'1' if replicas == 0 else '0'} or more")
    thing = objects.thing_of(objects.FLOOR, pool.owner)
    if pool.kind == objects.DEPLOYMENT:
        return {thing: {"replicas": replicas}}
    before = objects.read(thing, pool.scaler)
    most = before["max"]
    if most is not None and replicas > most and not raise_max:
        raise InputError(
            f"REPLICAS {replicas}: the {pool.kind} of {pool.name} allows {most} at most; "
            "add --raise-max if the cluster, the database and the services behind it can bear more"
        )
    return {thing: {"min": replicas, "max": most if most is None else max(most, replicas)}}


def pause(queue: str, topology: Mapping[str, Any], classes: Mapping[str, Pool]) -> Wish:
    """Return the wish that nobody consumes a queue and that the class behind it keeps its size. Raises InputError."""
    if queue not in topology["queues"]:
        raise InputError(
            f"QUEUE {queue}: the release has no such queue; it has {', '.join(sorted(topology['queues']))}"
        )
    wish: Wish = {objects.thing_of(objects.PAUSED, queue): True}
    pool = classes.get(topology["queues"][queue]["class"])
    if pool is not None and pool.kind != objects.DEPLOYMENT:
        wish[objects.thing_of(objects.HOLD, pool.owner)] = objects.held(pool.kind)
    return wish


def breaker(*, threshold: int | None, mode: str | None) -> Setting:
    """Return the setting of a breaker's override. Raises InputError where it says nothing or contradicts itself."""
    if threshold is None and mode is None:
        raise InputError("say what the breaker shall do: --threshold N, --open or --close")
    if threshold is not None and threshold < 1:
        raise InputError(f"--threshold {threshold}: must be 1 or more")
    return {**({} if mode is None else {"mode": mode}), **({} if threshold is None else {"threshold": threshold})}


def pool_named(name: str, classes: Mapping[str, Pool]) -> Pool:
    """Return a worker class. Raises InputError naming those there are."""
    if name not in classes:
        raise InputError(f"CLASS {name}: the release has no such class; it has {', '.join(sorted(classes)) or 'none'}")
    return classes[name]

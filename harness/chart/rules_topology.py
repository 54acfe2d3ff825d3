"""Rules inside topology.json: classes, queues, limits, routes and priorities agree, and no setting loses tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.chart.manifests import (
    REDIS_URL_VARIABLE,
    TOPOLOGY_KEY,
    Release,
    get,
    integer,
    items,
    mapping,
    quantity,
    ref,
    text,
)
from harness.chart.problems import WARNING, Problem
from harness.chart.rules_workers import longest_task_seconds

LOWEST_PRIORITY = 1
HIGHEST_PRIORITY = 9


def present(release: Release) -> Iterator[Problem]:
    """There is exactly one topology.json, with queues and classes: workers and publishers start from it."""
    holders = [m for m in release.of_kind("ConfigMap") if TOPOLOGY_KEY in mapping(m, "data")]
    if len(holders) != 1:
        yield Problem(TOPOLOGY_KEY, f"{len(holders)} ConfigMaps have it", "render it in exactly one")
    elif not mapping(release.topology, "queues") or not mapping(release.topology, "classes"):
        yield Problem(TOPOLOGY_KEY, "it is no JSON with queues and classes", "give each class at least one queue")


def queues(release: Release) -> Iterator[Problem]:
    """Class and queue know each other: a queue nobody works on fills up, one without an entry has no policy."""
    topology = release.topology
    known, classes = mapping(topology, "queues"), mapping(topology, "classes")
    for name, worker_class in classes.items():
        for queue in map(text, items(worker_class, "queues")):
            if get(known, queue, "class") != name:
                owner = get(known, queue, "class", default="no class: it has no entry under queues")
                yield _problem(
                    f"classes.{name}.queues", f"queue {queue!r} belongs to {owner}", "let each queue name one"
                )
        if not items(worker_class, "queues"):
            yield _problem(f"classes.{name}.queues", "the class works on no queue", "name one")
    for name, queue in known.items():
        owner = text(queue, "class")
        if name not in items(classes, owner, "queues"):
            yield _problem(f"queues.{name}.class", f"class {owner!r} does not work on it", "list it under its class")
    default = text(topology, "default_queue")
    if default not in known:
        yield _problem("default_queue", f"there is no queue {default!r}", f"use one of {_names(known)}")


def routes(release: Release) -> Iterator[Problem]:
    """A route leads to a queue of the topology, with a priority that the queue tells apart."""
    known = mapping(release.topology, "queues")
    for index, route in enumerate(items(release.topology, "routes")):
        path, queue, priority = f"routes[{index}]", text(route, "queue"), get(route, "priority")
        yield from _check_rollout(f"{path}.rollout", route, known)
        if queue not in known:
            yield _problem(f"{path}.queue", f"there is no queue {queue!r}", f"use one of {_names(known)}")
        if priority is not None and not _is_priority(priority):
            yield _problem(
                f"{path}.priority", f"{priority!r} is none", f"use {LOWEST_PRIORITY} to {HIGHEST_PRIORITY} or null"
            )
        most = integer(get(known, queue, "max_priority")) if queue in known else None
        if most is not None and _is_priority(priority) and priority > most:
            yield _problem(f"{path}.priority", f"{priority} counts as {most} on queue {queue}", "raise maxPriority")
    for name, priority in mapping(release.topology, "priorities").items():
        if not _is_priority(priority):
            yield _problem(
                f"priorities.{name}", f"{priority!r} is none", f"use {LOWEST_PRIORITY} to {HIGHEST_PRIORITY}"
            )


def _check_rollout(path: str, route: Any, known: Mapping[str, Any]) -> Iterator[Problem]:
    rollout = get(route, "rollout")
    if rollout is None:
        return
    queue, percent = text(rollout, "queue"), get(rollout, "percent")
    if queue not in known:
        yield _problem(f"{path}.queue", f"there is no queue {queue!r}", f"use one of {_names(known)}")
    elif queue == text(route, "queue"):
        yield _problem(f"{path}.queue", f"{queue} is the route's queue already", "name the one to move to")
    if isinstance(percent, bool) or not isinstance(percent, int | float) or not 0 <= percent <= 100:
        yield _problem(f"{path}.percent", f"{percent!r} is none", "use 0 to 100")


def _is_priority(value: Any) -> bool:
    return integer(value) is not None and LOWEST_PRIORITY <= value <= HIGHEST_PRIORITY


def dead_letters(release: Release) -> Iterator[Problem]:
    """A queue that refuses or expires messages has a dead-letter queue of its own, which is no work queue."""
    known = mapping(release.topology, "queues")
    for name, queue in known.items():
        dead = get(queue, "dead_letter_queue")
        bounded = [key for key in ("max_length_messages", "message_ttl_seconds") if get(queue, key) is not None]
        if bounded and not dead:
            yield _problem(
                f"queues.{name}", f"has {' and '.join(bounded)} but no dead-letter queue, so tasks vanish",
                "turn deadLetters.enabled on, or take the limits off",
            )  # fmt: skip
        if text(dead) in known:
            yield _problem(f"queues.{name}.dead_letter_queue", f"{dead!r} is a work queue", "give it a name of its own")
        if dead and not get(release.topology, "dead_letter_exchange"):
            yield _problem("dead_letter_exchange", f"is not set, queue {name} needs it", "name the exchange")


def prefetch(release: Release) -> Iterator[Problem]:
    """A class whose queues have priorities takes one message a slot: what it already holds goes first."""
    known = mapping(release.topology, "queues")
    for name, worker_class in mapping(release.topology, "classes").items():
        multiplier = integer(get(worker_class, "prefetch_multiplier"))
        ranked = [queue for queue in map(text, items(worker_class, "queues")) if get(known, queue, "max_priority")]
        if ranked and multiplier is not None and multiplier > 1:
            yield Problem(
                f"workers.{name}.prefetchMultiplier",
                f"{multiplier} messages a slot are taken before a more urgent one on {', '.join(ranked)} is seen",
                "set 1, or give its queues no priorities",
                WARNING,
            )


def waits(release: Release) -> Iterator[Problem]:
    """The last task of a full queue is reached before it expires, with every pod there may be."""
    classes = mapping(release.topology, "classes")
    for name, queue in mapping(release.topology, "queues").items():
        worker_class = mapping(classes, text(queue, "class"))
        seconds = quantity(get(worker_class, "expected_task_seconds"))
        slots = (integer(get(worker_class, "concurrency")) or 0) * (integer(get(worker_class, "replicas", "max")) or 0)
        most, ttl = integer(get(queue, "max_length_messages")), quantity(get(queue, "message_ttl_seconds"))
        if seconds and slots and most and ttl and most * seconds / slots > ttl:
            yield Problem(
                f"workers.{text(queue, 'class')}.queues.{name}.messageTtl",
                f"{float(ttl):g} s are less than the {float(most * seconds / slots):.0f} s that {most} waiting tasks "
                f"of {float(seconds):g} s take on {slots} slots, so a full queue expires",
                "raise it or replicas.max, or lower maxLength",
                WARNING,
            )


def queues_retained(release: Release) -> Iterator[Problem]:
    """A queue stays when the object that made it goes: an uninstall deletes no task."""
    for manifest in release.of_kind("Queue"):
        if get(manifest, "spec", "deletionPolicy") != "retain":
            yield Problem(f"{ref(manifest)} spec.deletionPolicy", "deletes the queue with its tasks", "set retain")


def overflow(release: Release) -> Iterator[Problem]:
    """A full queue refuses: drop-head loses accepted tasks, and a quorum queue takes reject-publish-dlx for it."""
    for name, queue in mapping(release.topology, "queues").items():
        if get(queue, "max_length_messages") is None:
            continue
        how, path = get(queue, "overflow"), f"queues.{name}.overflow"
        if how not in ("reject-publish", "reject-publish-dlx"):
            yield _problem(path, f"{how!r} drops tasks that were accepted", "use reject-publish or reject-publish-dlx")
        elif how == "reject-publish-dlx" and get(queue, "type") == "quorum":
            yield _problem(path, "a quorum queue takes reject-publish-dlx for drop-head", "use reject-publish")


def poison(release: Release) -> Iterator[Problem]:
    """A task that kills its worker comes back a bounded number of times: a classic queue cannot count, Redis can."""
    uncounted = [
        name
        for worker in release.workers
        if REDIS_URL_VARIABLE not in [get(one, "name") for one in items(worker.container, "env")]
        for name in map(text, items(mapping(release.topology, "classes", worker.class_name), "queues"))
        if _counts_by_workers(mapping(release.topology, "queues", name))
    ]
    if uncounted:
        yield Problem(
            "redis.existingSecret",
            f"a classic queue ({', '.join(sorted(uncounted))}) does not count deliveries, and there is no Redis to "
            "count them in: a task that kills its whole worker comes back for ever",
            "name a Secret with redisUrl, or give the queues type quorum, or maxDeliveries null to accept it",
            WARNING,
        )


def _counts_by_workers(queue: Mapping[str, Any]) -> bool:
    return bool(get(queue, "max_deliveries")) and get(queue, "type") == "classic"


def consumer_timeouts(release: Release) -> Iterator[Problem]:
    """A task may run longer than RabbitMQ waits for its acknowledgement in no queue: the whole worker would end."""
    for name, queue in mapping(release.topology, "queues").items():
        timeout = integer(get(queue, "consumer_timeout_seconds"))
        longest = longest_task_seconds(mapping(release.topology, "classes", text(queue, "class")))
        if timeout is not None and longest is not None and timeout <= longest:
            yield _problem(
                f"queues.{name}.consumer_timeout_seconds", f"{timeout} s, but a task may run for {longest} s",
                "set it above the class's time limit",
            )  # fmt: skip


def _problem(path: str, message: str, fix: str) -> Problem:
    return Problem(f"{TOPOLOGY_KEY} {path}", message, fix)


def _names(known: Mapping[str, Any]) -> str:
    return ", ".join(sorted(known)) or "none (it has no queues)"

"""What RabbitMQ's policies are to say of a release's queues, and whether somebody else's are in the way. Pure.

Standard library only; apply_topology.py asks the broker.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

POLICY_PRIORITY = 100  # above a cluster's own catch-all policies: only one policy at a time holds for a queue
CONSUMER_TIMEOUT_SINCE = (4, 0)  # RabbitMQ before it refuses a whole policy that names consumer-timeout
DELIVERY_LIMIT_SINCE = (4, 0)  # the first with a limit by default


class TopologyError(Exception):
    """What stands in the way, in one message."""


def version_numbers(version: str) -> tuple[int, ...]:
    """Return a RabbitMQ version as numbers: "3.10.8" is (3, 10, 8)."""
    return tuple(int(part) for part in re.split(r"[-+]", version)[0].split(".") if part.isdigit())


def policy_definition(
    topology: Mapping[str, Any], queue: Mapping[str, Any], version: tuple[int, ...]
) -> dict[str, Any]:
    """Return the one policy of a queue. Limits count waiting messages only; TTL runs from the publish."""
    definition = {
        "max-length": queue.get("max_length_messages"),
        "overflow": queue.get("overflow"),
        "message-ttl": milliseconds(queue.get("message_ttl_seconds")),
    }
    if queue.get("dead_letter_queue"):
        definition["dead-letter-exchange"] = topology["dead_letter_exchange"]
        definition["dead-letter-routing-key"] = queue["dead_letter_queue"]
    if version >= CONSUMER_TIMEOUT_SINCE:
        definition["consumer-timeout"] = milliseconds(queue.get("consumer_timeout_seconds"))
    if queue["type"] == "quorum":
        definition.update(quorum_definition(queue))
    return {key: value for key, value in definition.items() if value is not None}


def quorum_definition(queue: Mapping[str, Any]) -> dict[str, Any]:
    """Return what differs on a quorum queue."""
    changes: dict[str, Any] = {}
    if queue.get("max_deliveries"):
        changes["delivery-limit"] = queue["max_deliveries"] - 1  # RabbitMQ counts from the second delivery
    overflow = queue.get("overflow")
    if overflow is None:
        return changes
    # reject-publish-dlx is accepted there and silently drops the oldest: the publisher stores refused tasks instead.
    changes["overflow"] = "reject-publish" if overflow.startswith("reject-publish") else overflow
    if queue.get("dead_letter_queue") and changes["overflow"] == "reject-publish":
        changes["dead-letter-strategy"] = "at-least-once"
    return changes


def dead_letter_definition(queue: Mapping[str, Any], version: tuple[int, ...]) -> dict[str, Any]:
    """Return the policy of a dead-letter queue: it never refuses, and looking at its messages must not use them up."""
    if queue["type"] == "quorum" and version >= DELIVERY_LIMIT_SINCE:
        return {"delivery-limit": -1}
    return {}


def milliseconds(seconds: float | None) -> int | None:
    """Return seconds as RabbitMQ counts them, None for none."""
    return None if seconds is None else round(seconds * 1000)


def consequences(before: Mapping[str, Any], after: Mapping[str, Any], waiting: int) -> list[str]:
    """Return what a change of a queue's policy does to its `waiting` messages, one sentence each."""
    said = []
    if waiting and after.get("message-ttl") != before.get("message-ttl"):
        said.append(f"{waiting} messages wait and keep the life they were published with (messageTtl)")
    limit = after.get("max-length")
    if limit is not None and waiting > limit and limit < before.get("max-length", float("inf")):
        said.append(f"{waiting} messages wait and stay; publishers are refused until fewer than {limit} do (maxLength)")
    return said


def policy_name(topology: Mapping[str, Any], queue: str) -> str:
    """Return the name of a queue's policy."""
    return f"{topology['release']}-{queue}"


def check_policies_hold(policies: Sequence[Mapping[str, Any]], topology: Mapping[str, Any]) -> None:
    """Raise TopologyError when someone else's policy wins for a queue: ours would silently not hold."""
    ours = {policy["name"] for policy in policies}
    for name, queue in sorted(topology["queues"].items()):
        if policy_name(topology, name) in ours:
            for policy in policies:
                if policy["name"] != policy_name(topology, name) and wins(policy, name, queue["type"]):
                    raise TopologyError(
                        f"policy {policy['name']!r} (priority {policy['priority']}) wins over the release's (priority "
                        f"{POLICY_PRIORITY}) for queue {name!r}: lower its priority or narrow its pattern"
                    )


def wins(policy: Mapping[str, Any], queue: str, queue_type: str) -> bool:
    """Whether RabbitMQ may let this policy hold for a queue instead of one with POLICY_PRIORITY."""
    return policy["priority"] >= POLICY_PRIORITY and fits(policy, queue, queue_type)


def delay_name(topology: Mapping[str, Any], part: str | int) -> str:
    """Return the name of a queue or an exchange for delays: of a level, of `due_<queue>`, or of `delivery`."""
    return f"{topology['release']}_celery_delayed_{part}"


def check_delays_are_spared(policies: Sequence[Mapping[str, Any]], topology: Mapping[str, Any]) -> None:
    """Raise TopologyError when someone's policy would have delayed tasks come early, or delete a queue they wait in."""
    waits = {delay_name(topology, f"due_{name}"): 0 for name in sorted(topology["queues"])}
    for level in range(topology["delayed_delivery"]["highest_level"] + 1):
        waits[delay_name(topology, level)] = 2**level * 1000
    for queue, wait_ms in waits.items():
        fitting = [policy for policy in policies if fits(policy, queue, "quorum")]
        highest = max((policy["priority"] for policy in fitting), default=0)
        for policy in fitting:
            definition = policy["definition"]
            spoils = "expires" in definition or definition.get("message-ttl", wait_ms) < wait_ms
            if policy["priority"] == highest and spoils:
                raise TopologyError(
                    f"policy {policy['name']!r} holds for queue {queue!r} too, where tasks wait until they are due: a "
                    "message-ttl would have them come early, an expires would delete them. Narrow its pattern, or give "
                    "these queues a policy of a higher priority without"
                )


def fits(policy: Mapping[str, Any], queue: str, queue_type: str) -> bool:
    """Whether a policy is for such a queue, whatever other policies there are."""
    if policy["apply-to"] not in ("all", "queues", f"{queue_type}_queues"):
        return False
    try:
        return re.search(policy["pattern"], queue) is not None
    except re.error:  # one of the patterns that Erlang reads and Python does not
        return False

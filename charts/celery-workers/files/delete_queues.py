"""Deletes the queues of a release that is gone from RabbitMQ, those that hold nothing, with their policies.

A queue that holds messages, or that somebody still consumes from, stays with all that belongs to it. Reads
BROKER_MANAGEMENT_URL and, where https has a CA of its own, CELERY_BROKER_CA_FILE; queues.json beside this file is the
release's topology. Standard library only. Exit code 1 with one message when a queue stays or the broker refuses.
"""

from __future__ import annotations

import json
import os
import sys
import time
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError

from apply_topology import EXCHANGE, Api, reason
from topology_policies import TopologyError, policy_name

if TYPE_CHECKING:
    from collections.abc import Mapping

WAIT_SECONDS = 180.0  # for the last workers to end and for the broker to answer; helm's own limit is five minutes
PAUSE_SECONDS = 2.0
CAREFULLY = "?if-empty=true&if-unused=true"
IN_USE = "in use"  # RabbitMQ's words for a queue that has consumers


def queue_names(topology: Mapping[str, Any]) -> list[str]:
    """Return the release's queues and their dead-letter queues."""
    found = []
    for name, queue in sorted(topology["queues"].items()):
        found += [name, *filter(None, [queue.get("dead_letter_queue")])]
    return list(dict.fromkeys(found))  # queues may share one for their dead letters


def delete_where_possible(api: Api, topology: Mapping[str, Any], wait_seconds: float = WAIT_SECONDS) -> dict[str, str]:
    """Delete what holds nothing and nobody uses, waiting for consumers to go; return why each other queue stays.

    RabbitMQ itself looks, at the moment it deletes: the counts its API gives are some seconds old.
    """
    deadline = time.monotonic() + wait_seconds
    left = queue_names(topology)
    while True:
        staying = {name: why for name in left if (why := delete_queue(api, topology, name))}
        left = list(staying)
        if not any(IN_USE in why for why in staying.values()) or time.monotonic() >= deadline:
            return staying
        time.sleep(PAUSE_SECONDS)


def delete_queue(api: Api, topology: Mapping[str, Any], name: str) -> str:
    """Delete a queue, then its policy; return RabbitMQ's words where it refuses, else none."""
    try:
        delete(api, "queues", name, CAREFULLY)
    except HTTPError as error:
        if error.code != 400:
            raise
        return reason(error)
    delete(api, "policies", policy_name(topology, name))
    return ""


def delete_exchanges(api: Api, topology: Mapping[str, Any]) -> None:
    """Delete the exchanges, unless another release has queues there."""
    for name in filter(None, (EXCHANGE, topology["dead_letter_exchange"])):
        try:
            delete(api, "exchanges", name, "?if-unused=true")
        except HTTPError as error:
            if error.code != 400:
                raise


def delete(api: Api, kind: str, name: str, query: str = "") -> None:
    """Delete an object; one that is gone is fine."""
    try:
        api.call("DELETE", kind, api.vhost, name, query=query)
    except HTTPError as error:
        if error.code != 404:
            raise


def main(environment: Mapping[str, str]) -> int:
    """Delete what queues.json names; return the exit code."""
    topology = json.loads(Path(__file__).with_name("queues.json").read_text(encoding="utf-8"))
    try:
        api = Api(environment.get("BROKER_MANAGEMENT_URL", ""), environment.get("CELERY_BROKER_CA_FILE") or None)
        staying = delete_where_possible(api, topology)
        if not staying:
            delete_exchanges(api, topology)
    except HTTPError as error:
        print(f"queues not deleted: {error.url.rpartition('@')[2]}: {reason(error)}", file=sys.stderr)
        return 1
    except (TopologyError, URLError, OSError, HTTPException) as error:
        print(f"queues not deleted: {error}", file=sys.stderr)
        return 1
    for name, why in staying.items():
        print(f"queue {name!r} stays: {why}; empty it and delete it yourself", file=sys.stderr)
    return 1 if staying else 0


if __name__ == "__main__":
    sys.exit(main(os.environ))

"""Makes RabbitMQ's exchanges, queues and policies what topology.json says, by the management API.

Safe to run again and again: each request creates or replaces, nothing is deleted but a policy of ours that is no longer
wanted. Reads BROKER_MANAGEMENT_URL (http://user:password@host:15672/vhost), CELERY_WORKERS_CONFIG_DIR and, where https
has a CA of its own, CELERY_BROKER_CA_FILE. Standard library only. Exit code 1 with one message when the broker stays
away or refuses.
"""

from __future__ import annotations

import base64
import json
import os
import re
import ssl
import sys
import time
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urlsplit
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

from topology_policies import (
    POLICY_PRIORITY,
    TopologyError,
    check_delays_are_spared,
    check_policies_hold,
    consequences,
    dead_letter_definition,
    delay_name,
    policy_definition,
    policy_name,
    version_numbers,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

TOPOLOGY_VERSION = 1
EXCHANGE = "celery"
WAIT_SECONDS = 240.0  # for the broker to answer at all; a RabbitMQ that starts with the release takes a minute or two
PAUSE_SECONDS = 2.0
TRANSIENT = (408, 429, 500, 502, 503, 504)
DELAY_BITS = 28  # of kombu's routing keys for delays, "0.0. ... .1.0.1.<queue>"


class Api:
    """RabbitMQ's management API, one virtual host."""

    def __init__(self, url: str, ca_file: str | None = None) -> None:
        """Take the URL apart; its path names the virtual host, none is "/". `ca_file` vouches for https."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise TopologyError("BROKER_MANAGEMENT_URL must look like http://user:password@host:15672/vhost")
        credentials = f"{unquote(parts.username or 'guest')}:{unquote(parts.password or 'guest')}"
        self.authorization = "Basic " + base64.b64encode(credentials.encode()).decode()
        self.base = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/api"
        self.vhost = unquote(parts.path.lstrip("/")) or "/"
        trust = HTTPSHandler(context=ssl.create_default_context(cafile=ca_file))
        self.opener = build_opener(ProxyHandler({}), trust)

    def call(self, method: str, *path: str, body: object = None, query: str = "") -> Any:
        """Send one request; return the decoded answer. HTTPError, URLError or OSError say what went wrong."""
        url = "/".join((self.base, *(quote(part, safe="") for part in path))) + query
        data = None if body is None else json.dumps(body).encode()
        request = Request(url, method=method, data=data)  # noqa: S310 -- http or https, as the constructor checked
        request.add_header("Authorization", self.authorization)
        request.add_header("Content-Type", "application/json")
        with self.opener.open(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def patient(self, method: str, *path: str, body: object = None, deadline: float) -> Any:
        """Send a request until it gets through, the broker refuses it for good, or `deadline` (monotonic) has come."""
        while True:
            try:
                return self.call(method, *path, body=body)
            except HTTPError as error:
                if error.code not in TRANSIENT or time.monotonic() >= deadline:
                    raise
            except (URLError, OSError, HTTPException, ValueError) as error:
                if time.monotonic() >= deadline:
                    raise TopologyError(f"RabbitMQ's management API does not answer at {self.base}: {error}") from error
            time.sleep(PAUSE_SECONDS)


def queue_arguments(queue: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that cannot be a policy; all others live in one, so that they can change."""
    arguments = {"x-queue-type": queue["type"]}
    if queue.get("max_priority"):
        arguments["x-max-priority"] = queue["max_priority"]
    return arguments


def declare_exchange(api: Api, name: str, deadline: float, kind: str = "direct") -> None:
    """Create a durable exchange; TopologyError when one of another kind has the name."""
    body = {"type": kind, "durable": True, "auto_delete": False, "internal": False, "arguments": {}}
    try:
        api.patient("PUT", "exchanges", api.vhost, name, body=body, deadline=deadline)
    except HTTPError as error:
        raise TopologyError(f"exchange {name!r} cannot be declared: {reason(error)}") from error


def declare_queue(
    api: Api, name: str, exchange: str, arguments: Mapping[str, Any], deadline: float, key: str | None = None
) -> None:
    """Create a durable queue and bind it, by its own name unless told; TopologyError when another one has the name."""
    body = {"durable": True, "auto_delete": False, "arguments": arguments}
    try:
        api.patient("PUT", "queues", api.vhost, name, body=body, deadline=deadline)
    except HTTPError as error:
        raise TopologyError(queue_conflict(api, name, arguments, error)) from error
    bind(api, exchange, "q", name, key or name, deadline)


def bind(api: Api, exchange: str, kind: str, name: str, key: str, deadline: float) -> None:
    """Bind a queue (kind "q") or another exchange ("e") to an exchange."""
    path = ("bindings", api.vhost, "e", exchange, kind, name)
    api.patient("POST", *path, body={"routing_key": key}, deadline=deadline)


def declare_delays(api: Api, topology: Mapping[str, Any], deadline: float) -> None:
    """Create the exchanges and queues that tasks wait in until they are due, from the last to the first.

    They are kombu's (kombu.transport.native_delayed_delivery), under the release's name: a task passes one level for
    each bit of its countdown, and waits at those whose bit is 1. Then, which kombu does not have, it passes a queue of
    its own work queue's: one that is full holds up nobody else there, and the task comes by the queue's name alone.
    """
    following = delay_name(topology, "delivery")
    declare_exchange(api, following, deadline, kind="topic")
    for name in sorted(topology["queues"]):
        due = delay_name(topology, f"due_{name}")
        arguments = {**delay_arguments(0, ""), "x-dead-letter-routing-key": name}
        # Not "#." and the name: queue `mail` would then have the tasks of a queue `bulk.mail` too.
        declare_queue(api, due, following, arguments, deadline, key="*." * DELAY_BITS + name)
    for level in range(topology["delayed_delivery"]["highest_level"] + 1):
        name = delay_name(topology, level)
        before = "*." * (DELAY_BITS - 1 - level)
        declare_exchange(api, name, deadline, kind="topic")
        declare_queue(api, name, name, delay_arguments(2**level, following), deadline, key=f"{before}1.#")
        bind(api, name, "e", following, f"{before}0.#", deadline)
        following = name


def delay_arguments(seconds: int, following: str) -> dict[str, Any]:
    """Return a delay queue's arguments. A task leaves it only when what follows has it, however often it is refused."""
    return {
        "x-queue-type": "quorum",
        "x-overflow": "reject-publish",  # without a limit it refuses nothing; at-least-once asks for it
        "x-message-ttl": seconds * 1000,
        "x-dead-letter-exchange": following,
        "x-dead-letter-strategy": "at-least-once",
    }


def queue_conflict(api: Api, name: str, arguments: Mapping[str, Any], error: HTTPError) -> str:
    """Return the message for a queue that cannot be declared, with what stands there."""
    try:
        existing = api.call("GET", "queues", api.vhost, name)
    except (URLError, OSError, HTTPException, ValueError):
        return f"queue {name!r} cannot be declared: {reason(error)}"
    return (
        f"queue {name!r} exists with arguments {json.dumps(existing.get('arguments'), sort_keys=True)}"
        f" (durable: {existing.get('durable')}), the release wants {json.dumps(arguments, sort_keys=True)} (durable: "
        "True). RabbitMQ cannot change them in place: let it run empty and delete it, or give the queue another name"
    )


def announce(api: Api, topology: Mapping[str, Any], queue: str, definition: Mapping[str, Any]) -> None:
    """Say what a changed policy will do to messages that wait. RabbitMQ keeps them all, as a test sees."""
    try:
        before = api.call("GET", "policies", api.vhost, policy_name(topology, queue))["definition"]
        waiting = api.call("GET", "queues", api.vhost, queue).get("messages_ready") or 0
    except (URLError, OSError, HTTPException, ValueError):  # there was no policy, or nobody says
        return
    for sentence in consequences(before, definition, waiting):
        print(f"queue {queue!r}: {sentence}")


def apply_policy(
    api: Api, topology: Mapping[str, Any], queue: str, definition: Mapping[str, Any], deadline: float
) -> None:
    """Set the queue's one policy, or remove ours where nothing is limited."""
    path = ("policies", api.vhost, policy_name(topology, queue))
    if definition:
        body = {
            "pattern": f"^{re.escape(queue)}$",
            "definition": definition,
            "priority": POLICY_PRIORITY,
            "apply-to": "queues",
        }
        api.patient("PUT", *path, body=body, deadline=deadline)
        return
    try:
        api.patient("DELETE", *path, deadline=deadline)
    except HTTPError as error:
        if error.code != 404:
            raise


def reason(error: HTTPError) -> str:
    """Return why the API refused."""
    try:
        return json.loads(error.read())["reason"]
    except (ValueError, KeyError, TypeError):
        return str(error)


def apply_topology(api: Api, topology: Mapping[str, Any], wait_seconds: float = WAIT_SECONDS) -> None:
    """Bring the broker to `topology`; TopologyError says what stands in the way."""
    if topology["version"] != TOPOLOGY_VERSION:
        raise TopologyError(f"topology.json has version {topology['version']}, this program reads {TOPOLOGY_VERSION}")
    deadline = time.monotonic() + wait_seconds
    version = version_numbers(api.patient("GET", "overview", deadline=deadline)["rabbitmq_version"])
    for exchange in filter(None, (topology["dead_letter_exchange"], EXCHANGE)):
        declare_exchange(api, exchange, deadline)
    for name, queue in sorted(topology["queues"].items()):
        dead = queue.get("dead_letter_queue")
        if dead:  # first: a message that dies before its dead-letter queue exists is gone
            declare_queue(api, dead, topology["dead_letter_exchange"], {"x-queue-type": queue["type"]}, deadline)
            apply_policy(api, topology, dead, dead_letter_definition(queue, version), deadline)
        declare_queue(api, name, EXCHANGE, queue_arguments(queue), deadline)
        definition = policy_definition(topology, queue, version)
        announce(api, topology, name, definition)
        apply_policy(api, topology, name, definition, deadline)
    policies = api.patient("GET", "policies", api.vhost, deadline=deadline)
    check_policies_hold(policies, topology)
    if topology.get("delayed_delivery"):
        check_delays_are_spared(policies, topology)
        declare_delays(api, topology, deadline)


def main(environment: Mapping[str, str]) -> int:
    """Apply the topology of CELERY_WORKERS_CONFIG_DIR; return the exit code."""
    directory = Path(environment.get("CELERY_WORKERS_CONFIG_DIR") or Path(__file__).parent)
    topology = json.loads((directory / "topology.json").read_text(encoding="utf-8"))
    try:
        api = Api(environment.get("BROKER_MANAGEMENT_URL", ""), environment.get("CELERY_BROKER_CA_FILE") or None)
        apply_topology(api, topology)
    except TopologyError as error:
        print(f"topology not applied: {error}", file=sys.stderr)
        return 1
    except HTTPError as error:
        print(f"topology not applied: {error.url.rpartition('@')[2]}: {reason(error)}", file=sys.stderr)
        return 1
    print(f"topology applied: {len(topology['queues'])} queues")
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ))

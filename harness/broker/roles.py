"""What each user of the broker may do, no more, worked out of a release's topology.json. Pure.

The patterns are what Celery 5.7 was seen to need with the chart's settings; tests/local/test_roles.py runs each role
and sees what it is refused. Names are matched whole; RabbitMQ reads them as PCRE.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.broker import delays

NOTHING = "^$"
EXCHANGE = "celery"
ANY_QUEUE_BY_NAME = "amq.default"  # the permission's name for the default exchange, which Celery publishes tasks to
EVENTS = "celeryev"
CONTROL = "celery.pidbox"
REPLIES = "reply.celery.pidbox"
CONTROL_QUEUES = r".+\.celery\.pidbox"  # of each worker, and of whoever waits for answers
ANSWER_QUEUES = r".+\.reply\.celery\.pidbox"  # those of whoever waits for answers alone
NOTES = "celery_workers.letters"  # the queue in which a release's exporter counts dead letters, and the release's name
EVENT_QUEUES = r"celeryev\..+"


@dataclass(frozen=True)
class Role:
    """A user: its tag in the management plugin, if any, and its permissions in the virtual host."""

    name: str
    purpose: str
    configure: str = NOTHING
    write: str = NOTHING
    read: str = NOTHING
    tag: str = ""

    def rabbitmqctl(self, vhost: str, prefix: str) -> list[str]:
        """Return the commands that make the user; rabbitmqctl reads the password from its standard input."""
        user = f"{prefix}-{self.name}"
        quoted = " ".join(shlex.quote(pattern) for pattern in (self.configure, self.write, self.read))
        commands = [f"rabbitmqctl add_user {user}"]
        if self.tag:
            commands.append(f"rabbitmqctl set_user_tags {user} {self.tag}")
        return [*commands, f"rabbitmqctl set_permissions -p {shlex.quote(vhost)} {user} {quoted}"]


def roles(topology: Mapping[str, Any]) -> list[Role]:
    """Return every role a release knows."""
    queues = sorted(topology["queues"])
    dead = sorted(one for queue in topology["queues"].values() if (one := queue.get("dead_letter_queue")))
    delayed, due = delays.exchanges(topology), delays.due_queues(topology)
    notes = f"{NOTES}.{topology['release']}"
    exchanges = [one for one in (EXCHANGE, topology.get("dead_letter_exchange")) if one]
    return [
        Role(
            "worker",
            "the workers, their startup probe and helm test: amqpUrl",
            configure=_names(EXCHANGE, EVENTS, CONTROL, REPLIES, *queues, patterns=[CONTROL_QUEUES]),
            write=_names(ANY_QUEUE_BY_NAME, EVENTS, CONTROL, REPLIES, *queues, *delayed[:1], patterns=[CONTROL_QUEUES]),
            read=_names(EXCHANGE, CONTROL, REPLIES, *queues, patterns=[CONTROL_QUEUES]),
        ),
        Role(
            "publisher",
            "publishers with celery_workers.Publisher, which declares nothing",
            write=_names(ANY_QUEUE_BY_NAME, *delayed[:1]),
        ),
        Role(
            "declaring-publisher",
            "publishers with Celery alone, which declares a task's queue before it publishes",
            configure=_names(EXCHANGE, *queues),
            write=_names(ANY_QUEUE_BY_NAME, *queues, *delayed[:1]),
            read=_names(EXCHANGE),
        ),
        Role(
            "topology",
            "the topology Job, and KEDA where it has no Secret of its own: managementUrl",
            configure=_names(*exchanges, *queues, *dead, *delayed, *due),
            # A queue whose tasks go on to their own queue by its name may be made by who may do so too.
            write=_names(*queues, *dead, *delayed, *due, *([ANY_QUEUE_BY_NAME] if due else [])),
            read=_names(*exchanges, *delayed, *due),
            tag="policymaker",
        ),
        Role("scaler", "KEDA, which looks at queues by the management API: broker.scalerSecret", tag="management"),
        Role("monitor", "dashboards and health checks by the management API", tag="monitoring"),
        Role(
            "events",
            "what reads Celery's events and asks no worker",
            configure=_names(EVENTS, CONTROL, patterns=[EVENT_QUEUES]),
            write=_names(CONTROL, patterns=[EVENT_QUEUES]),
            read=_names(EVENTS, patterns=[EVENT_QUEUES]),
        ),
        Role(
            "exporter",
            "the exporter, which reads events, counts dead letters and looks at queues: exporter.existingSecret",
            configure=_names(EVENTS, notes, patterns=[EVENT_QUEUES]),
            write=_names(notes, patterns=[EVENT_QUEUES]),
            read=_names(EVENTS, notes, *exchanges[1:], patterns=[EVENT_QUEUES]),
            tag="management",
        ),
        Role(
            "flower",
            "Flower and the like, which read events and ask workers what they do",
            configure=_names(EVENTS, CONTROL, REPLIES, patterns=[EVENT_QUEUES, ANSWER_QUEUES]),
            write=_names(CONTROL, patterns=[EVENT_QUEUES, ANSWER_QUEUES]),
            read=_names(EVENTS, REPLIES, patterns=[EVENT_QUEUES, ANSWER_QUEUES]),
        ),
        Role(
            "inspector",
            "celery inspect and celery control: it may also shut workers down",
            configure=_names(CONTROL, REPLIES, patterns=[ANSWER_QUEUES]),
            write=_names(CONTROL, patterns=[ANSWER_QUEUES]),
            read=_names(REPLIES, patterns=[ANSWER_QUEUES]),
        ),
    ]


def _names(*names: str, patterns: Iterable[str] = ()) -> str:
    """Return a pattern of these names, and of what else is a pattern already."""
    return f"^({'|'.join([*map(_escape, names), *patterns])})$"


def _escape(name: str) -> str:
    """Escape what PCRE reads as more than itself; unlike re.escape, leave dashes readable."""
    return re.sub(r"([.^$*+?()\[{\\|])", r"\\\1", name)

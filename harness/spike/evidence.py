"""Collects what a run left behind and hands it to the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from examx import effects
from examx.catalogue import TASKS
from harness.broker import delays
from harness.broker.management import dead_letters
from harness.broker.stats import DeadLetter
from harness.errors import HarnessError
from harness.spike import journals
from harness.spike.arrivals import LoadPlan
from harness.spike.ledger import Ledger, Offer, account
from harness.spike.site import Ground


@dataclass(frozen=True)
class Evidence:
    """A run's ledger and the two other things its journals tell."""

    ledger: Ledger
    calls: Mapping[str, Mapping[str, int]]
    torn_lines: int
    started_at: float  # seconds since the epoch


def collect(*, plan: LoadPlan, ground: Ground, topology: Mapping[str, Any]) -> Evidence:
    """Read journals, effects and queues, and account for every task.

    Raises:
        HarnessError: a journal is damaged, the broker does not answer, or the numbers do not add up.
    """
    services, broker_url = ground.services, ground.broker.amqp_url
    # First: what goes on from there meanwhile is seen among the effects or the dead letters.
    on_the_way = delays.queues_on_the_way(topology)
    in_queue = {message.id for queue in on_the_way for message in dead_letters(broker_url, queue)}
    offers = journals.read_offers(ground.journals)
    started_at = load_started_at(plan, offers.entries)
    deliveries = journals.read_deliveries(services.deliveries)
    ledger = account(
        offers=offers.entries,
        effects=journals.effects_of(
            deliveries.entries,
            _markers(services.database_url),
            file_exists=lambda task_id: (services.files / f"{task_id}.pdf").is_file(),
        ),
        dead_letters=_dead_letters(broker_url, topology),
        in_queue=in_queue,
        expected_kinds={name: task.effect for name, task in TASKS.items()},
    )
    return Evidence(
        ledger=ledger,
        calls=journals.calls_of(deliveries.entries),
        torn_lines=offers.torn + deliveries.torn,
        started_at=started_at,
    )


def load_started_at(plan: LoadPlan, offers: Iterable[Offer]) -> float:
    """Return the moment that the plan's zero fell on: no first attempt can have been earlier than it was due.

    Raises HarnessError when nothing of the plan was offered.
    """
    due = {arrival.id: arrival.due_seconds for arrival in plan.arrivals}
    starts = [offer.at - due[offer.id] for offer in offers if offer.id in due]
    if not starts:
        raise HarnessError("the load generator offered no task: see locust.log")
    return min(starts)


def _markers(database_url: str) -> Iterable[effects.Marker]:
    cursor = 0
    while batch := effects.markers_after(cursor, database_url=database_url):
        yield from batch
        cursor = batch[-1].seq


def _dead_letters(broker_url: str, topology: Mapping[str, Any]) -> list[DeadLetter]:
    queues = {queue["dead_letter_queue"] for queue in topology["queues"].values() if queue["dead_letter_queue"]}
    return [message for queue in sorted(queues) for message in dead_letters(broker_url, queue)]

"""Collects what a soak left behind, into a few bytes a task: nothing here keeps an object for each of a million."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from harness.broker import delays
from harness.broker.management import dead_letters
from harness.errors import HarnessError
from harness.soak.ledger import DEATHS, MOST, Columns, times
from harness.soak.mix import KINDS, Kind, Mix
from harness.spike import ledger as tasks_ledger
from harness.spike.journals import SUCCESS
from harness.spike.ledger import Death
from harness.spike.services import Services

ROWS_A_FETCH = 20_000
MAIL = "mail"


@dataclass(frozen=True)
class Evidence:
    """What was found. `calls` says for each service how many requests it answered, refused, and answered again under a
    key it knew; `unknown` counts, by place, what belongs to no task of the run."""

    columns: Columns
    calls: Mapping[str, Mapping[str, int]]
    unknown: Mapping[str, int]


class Collector:
    """Fills the columns of one run."""

    def __init__(self, mix: Mix, offers: bytes) -> None:
        self._mix = mix
        self._kinds = mix.kinds()
        self._offers = offers
        self._effects, self._deaths, self._waiting = (bytearray(mix.tasks) for _ in range(3))
        self._calls: dict[str, bytearray] = {}
        self._refused: Counter[str] = Counter()
        self._unknown: Counter[str] = Counter()

    def take_deliveries(self, path: Path) -> None:
        """Read the stand-ins' journal: mails are effects, calls of services are counted by their key."""
        for delivery in _deliveries(path):
            service, answered = delivery["kind"], delivery["status"] in SUCCESS
            number = self._mix.number_of(delivery["id"])
            if number is None or (service == MAIL) != (self._mix.kind_of(number).effect == MAIL):
                self._unknown[f"deliveries to {service}"] += 1
            elif not answered:
                self._refused[service] += 1
            else:
                _count(self._calls.setdefault(service, bytearray(self._mix.tasks)), number)

    def take_rows(self, database_url: str) -> None:
        """Read the application's tables. Raises HarnessError when the database does not answer."""
        try:
            with psycopg.connect(database_url.replace("+psycopg", "", 1)) as connection:
                for position, kind in enumerate(KINDS):
                    if kind.effect == "row":
                        self._take_table(connection, position, kind)
        except psycopg.Error as error:
            raise HarnessError(f"the application's rows cannot be read: {error}") from error

    def _take_table(self, connection: psycopg.Connection[Any], position: int, kind: Kind) -> None:
        query = sql.SQL("SELECT task_id, count(*) FROM {} GROUP BY task_id").format(sql.Identifier(kind.table))
        with connection.cursor(kind.name) as cursor:  # named: the server keeps the result, we take some at a time
            cursor.itersize = ROWS_A_FETCH
            for task_id, rows in cursor.execute(query):
                number = self._mix.number_of(task_id or "")
                if number is None or self._kinds[number] != position:
                    self._unknown[f"tasks in table {kind.table}"] += 1
                else:
                    self._effects[number] = min(MOST, times(rows, of=kind.rows))

    def take_files(self, directory: Path) -> None:
        """Look at the files that are there under their final names."""
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.name.startswith("."):  # a writer that was killed
                    continue
                number = self._mix.number_of(entry.name.removesuffix(".pdf"))
                if number is None or self._mix.kind_of(number).effect != "file":
                    self._unknown["files"] += 1
                else:
                    self._effects[number] = 1

    def take_dead_letter(self, task_id: str, reason: str) -> None:
        """Take a message of a dead-letter queue."""
        number = self._mix.number_of(task_id)
        if number is None:
            self._unknown["dead letters"] += 1
            return
        if reason not in tasks_ledger.DEATHS:
            raise HarnessError(f"dead letter {task_id}: nobody knows the reason {reason!r}")
        death = tasks_ledger.DEATHS[reason]
        if DEATHS[self._deaths[number]] in (None, Death.DROPPED):  # a refused copy yields to any other reason
            self._deaths[number] = DEATHS.index(death)

    def take_waiting(self, task_id: str) -> None:
        """Take a message that still waits, in a work queue or on its way to one."""
        number = self._mix.number_of(task_id)
        if number is None:
            self._unknown["queued messages"] += 1
        else:
            self._waiting[number] = 1

    def evidence(self) -> Evidence:
        """Return what was taken."""
        for number, mails in enumerate(self._calls.pop(MAIL, b"")):
            if mails:
                self._effects[number] = mails
        services = sorted(self._calls.keys() | self._refused.keys())
        return Evidence(
            columns=Columns(self._kinds, self._offers, self._effects, self._deaths, self._waiting),
            calls={name: self._answers(name) for name in services},
            unknown=dict(sorted(self._unknown.items())),
        )

    def _answers(self, service: str) -> dict[str, int]:
        counts = self._calls.get(service, bytearray())
        answered = sum(counts)
        return {
            "answered": answered,
            "refused": self._refused[service],
            "again_by_key": answered - (len(counts) - counts.count(0)),
        }


def collect(
    mix: Mix,
    offers: bytes,
    *,
    services: Services,
    broker_url: str,
    topology: Mapping[str, Any],
    tick: Callable[[], None] = lambda: None,
) -> Evidence:
    """Read queues, journals, tables and files; `tick` is called in between. Raises HarnessError for what cannot be."""
    collector = Collector(mix, offers)
    # What goes on from a queue meanwhile is seen twice this way, and its effect or its death counts; read in another
    # order it would be seen nowhere, and be lost.
    for name in delays.queues_on_the_way(topology):
        for message in dead_letters(broker_url, name):
            collector.take_waiting(message.id)
    tick()
    collector.take_deliveries(services.deliveries)
    tick()
    collector.take_rows(services.database_url)
    tick()
    collector.take_files(services.files)
    for queue in topology["queues"].values():
        for message in dead_letters(broker_url, queue["dead_letter_queue"]) if queue["dead_letter_queue"] else ():
            collector.take_dead_letter(message.id, message.reason)
    return collector.evidence()


def _count(column: bytearray, number: int) -> None:
    if column[number] < MOST:
        column[number] += 1


def _deliveries(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the journal's entries. A line that a killed writer left torn was never acknowledged, and says nothing."""
    with path.open("rb") as stream:
        for line in stream:
            try:
                yield json.loads(line)
            except ValueError:
                continue

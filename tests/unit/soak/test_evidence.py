"""A task that goes on while the evidence is read is seen twice rather than nowhere."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from harness.broker.stats import DeadLetter
from harness.soak import evidence
from harness.soak.ledger import Account, Offer, account, total
from harness.soak.mix import PERIOD, make
from harness.spike.services import Services

TOPOLOGY: dict[str, Any] = {"delayed_delivery": None, "queues": {"io": {"dead_letter_queue": "io.dead"}}}


class Place:
    """What a soak leaves behind, with one task that goes on at a look: the queues are a dictionary."""

    def __init__(self, directory: Path) -> None:
        self.mix = make(PERIOD, key="soak", rng=random.Random(1))
        self.number = next(one for one in range(PERIOD) if self.mix.kind_of(one).effect == evidence.MAIL)
        self.task = self.mix.id_of(self.number)
        self.queues = {"io": [self.task], "io.dead": []}
        self.services = Services("", "", "", directory / "files", directory / "deliveries.jsonl")
        self.services.files.mkdir()
        self.services.deliveries.touch()

    def read(self, _url: str, queue: str) -> list[DeadLetter]:
        return [DeadLetter(id=task, task="", reason="expired", queue="io", error="") for task in self.queues[queue]]

    def mailed(self) -> None:
        self.queues["io"].clear()
        entry = {"kind": evidence.MAIL, "id": self.task, "status": 250}
        self.services.deliveries.write_text(json.dumps(entry) + "\n")

    def expired(self) -> None:
        self.queues = {"io": [], "io.dead": [self.task]}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    made = Place(tmp_path)
    monkeypatch.setattr(evidence, "dead_letters", made.read)
    monkeypatch.setattr(evidence.Collector, "take_rows", lambda self, url: None)  # it has none
    return made


@pytest.mark.parametrize("look", range(3))
@pytest.mark.parametrize(("becomes", "state"), [("mailed", "completed"), ("expired", "dead_lettered")])
def test_what_goes_on_between_two_looks_is_not_lost(place: Place, look: int, becomes: str, state: str) -> None:
    looks = iter(range(3))

    def tick() -> None:
        if next(looks, None) == look:
            getattr(place, becomes)()

    offers = bytearray([Offer.NEVER] * PERIOD)
    offers[place.number] = Offer.ACCEPTED
    found = evidence.collect(
        place.mix, bytes(offers), services=place.services, broker_url="", topology=TOPOLOGY, tick=tick
    )
    whole: Account = total(account(found.columns))
    assert whole.counts.lost == 0
    assert whole.counts.as_dict()[state] + whole.counts.in_flight == 1
    if look == 0 or becomes == "expired":
        assert whole.counts.as_dict()[state] == 1

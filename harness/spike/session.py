"""One load test in one Locust process: attempts handed to its users at their time, effects followed. Needs gevent."""

from __future__ import annotations

import logging
import random
import time
from pathlib import Path

import gevent
from gevent.queue import Channel, Empty

from celery_workers import Publisher, Topology
from harness.spike.arrivals import plan
from harness.spike.dispatch import Dispatcher, Offer
from harness.spike.effect_sources import CeleryEvents, EffectSource, parse_effects
from harness.spike.front import FrontClient
from harness.spike.offering import NoJournal, Offering, PublisherJournal, Record
from harness.spike.publisher_app import publisher_app
from harness.spike.scenario import Scenario
from harness.spike.settings import SpikeSettings
from harness.spike.standing import Part, Report, Standing
from harness.spike.tracking import Tracker

POLL_SECONDS = 1.0
USER_WAIT_SECONDS = 1.0
SHORTEST_PAUSE_SECONDS = 0.001
LISTEN_SECONDS = 10.0
SILENCE_SECONDS = 15.0
_log = logging.getLogger(__name__)


class Session:
    """Publishes one part of a scenario and follows its tasks. `work` is what each user does, again and again."""

    def __init__(self, scenario: Scenario, settings: SpikeSettings, part: Part, *, record: Record) -> None:
        app = publisher_app(settings.topology, broker_url=settings.broker_url)
        load = plan(scenario, settings.topology, run_id=part.run_id)
        publishing = scenario.publisher
        self.part = part
        self._record = record
        self._limit_seconds = scenario.limit_seconds
        self._start_at = settings.start_at
        self._sources: list[EffectSource] = (
            [CeleryEvents(app)] if settings.effects is None else parse_effects(settings.effects)
        )
        self._publisher: Publisher | FrontClient = (
            Publisher(
                app,
                topology=Topology.from_document(settings.topology),
                connections=publishing.connections,
                backoff=publishing.backoff,
            )
            if settings.front_url is None
            else FrontClient(settings.front_url, connections=publishing.connections)
        )
        self._dispatcher = Dispatcher(
            load.share(part.index, part.count),
            publishing,
            rng=random.Random(f"{scenario.seed}/{part.index}"),
            publishers=part.count,
        )
        self._tracker = Tracker()
        self._offering = Offering(
            self._dispatcher,
            self._publisher,
            _journal(settings.journals, part),
            self._tracker,
            record,
            now=self._now,
        )
        self._offers = Channel()
        self._handed: dict[str, Offer] = {}  # on their way to a user; one that is killed just then drops its attempt
        self._greenlets: list[gevent.Greenlet] = []
        self._started = time.monotonic()

    def start(self) -> None:
        """Begin to hand out attempts once effects can be seen; the scenario's clock starts then."""
        listeners = [source for source in self._sources if isinstance(source, CeleryEvents)]
        self._greenlets = [gevent.spawn(listener.run) for listener in listeners]
        for listener in listeners:
            if not listener.ready.wait(LISTEN_SECONDS):
                _log.warning("no Celery events can be received after %g s; going on without", LISTEN_SECONDS)
        gevent.sleep(max((self._start_at or 0) - time.time(), 0))
        self._started = time.monotonic()
        self._greenlets += [gevent.spawn(loop) for loop in (self._pace, self._follow)]

    def work(self) -> None:
        """Wait a moment for an attempt and make it."""
        try:
            offer = self._offers.get(timeout=USER_WAIT_SECONDS)
        except Empty:
            return
        del self._handed[offer.arrival.id]
        self._offering.make(offer)

    @property
    def over(self) -> bool:
        """Whether the run is finished or has reached its limit."""
        return self.standing().finished or self._now() > self._limit_seconds

    def standing(self) -> Standing:
        """Where this part stands."""
        tally = self._dispatcher.tally
        return Standing(
            planned=tally.planned,
            offered=tally.offered,
            accepted=tally.accepted,
            gave_up=tally.gave_up,
            refusals=tally.refusals,
            unconfirmed=tally.unconfirmed,
            completed=self._tracker.completed,
            failed=self._tracker.failed,
            outstanding=self._tracker.outstanding,
        )

    def report(self, *, over: bool | None = None) -> Report:
        """Where this part stands, for a master; `over` when the caller knows better."""
        return Report(run_id=self.part.run_id, standing=self.standing(), over=self.over if over is None else over)

    def stop(self) -> None:
        """End the run once its users are gone: what still waits is given up, the journal closed."""
        gevent.killall(self._greenlets)
        for offer in self._handed.values():
            self._offering.put_back(offer)
        self._look()
        self._offering.end()
        self._publisher.close()

    def _now(self) -> float:
        return time.monotonic() - self._started

    def _pace(self) -> None:
        while True:
            offer, pause_seconds = self._offering.next()
            if offer is None:
                gevent.sleep(max(pause_seconds, SHORTEST_PAUSE_SECONDS))
                continue
            self._handed[offer.arrival.id] = offer
            self._offers.put(offer)  # returns when a user has taken it

    def _follow(self) -> None:
        silent = False
        while True:
            gevent.sleep(POLL_SECONDS)
            self._look()
            if not silent and self._now() > SILENCE_SECONDS and self._hears_nothing():
                _log.warning("no Celery event so far: start the workers with -E, or say where effects are seen")
                silent = True

    def _look(self) -> None:
        for source in self._sources:
            for sighting in source.poll():
                completion = self._tracker.saw(sighting)
                if completion is not None:
                    self._record("e2e", completion.task, completion.seconds, completion.error or None)

    def _hears_nothing(self) -> bool:
        return any(isinstance(source, CeleryEvents) and source.received == 0 for source in self._sources)


def _journal(directory: Path | None, part: Part) -> PublisherJournal | NoJournal:
    return NoJournal() if directory is None else PublisherJournal(directory / f"publisher-{part.index}.jsonl")

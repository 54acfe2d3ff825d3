"""A spike of Celery tasks for Locust, driven by a scenario file.

    BROKER_URL=amqp://user:password@host:5672/vhost locust -f loadtests/spike.py             # Locust's UI
    ... --headless --scenario email-slow                                                     # no UI, ends by itself
    ... --master / --worker                                                                  # distributed

Environment: BROKER_URL; CELERY_TOPOLOGY, a topology.json (unset: rendered from values/prod.yaml); SPIKE_SCENARIO, a
name or a path; SPIKE_FRONT_URL, a web front (`python -m examx.web`) to offer the tasks to instead of the broker, as
--front does; SPIKE_EFFECTS, where the reference application's effects are seen (unset: Celery's events, so workers
need -E); SPIKE_JOURNAL_DIR and SPIKE_RUN_ID for a ledger.

Entries: `publish` is one accepted attempt; `refused` and `unconfirmed` are attempts that failed, each tried again until
the scenario's deadline; `e2e` is the time from a task's first attempt to its effect. The exit code is 0 when every task
did its work, 1 when not, 2 when the input was wrong.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # Locust puts only this file's folder there
    sys.path.insert(0, str(ROOT))

import gevent  # noqa: E402
from locust import LoadTestShape, User, constant, events, task  # noqa: E402
from locust.runners import MasterRunner, WorkerRunner  # noqa: E402

from harness.errors import HarnessError  # noqa: E402
from harness.spike import arrivals, settings  # noqa: E402
from harness.spike.scenario import Scenario, available, load_scenario  # noqa: E402
from harness.spike.session import Session  # noqa: E402
from harness.spike.standing import Part, Report, Roster, Standing  # noqa: E402

SHARE_MESSAGE, REPORT_KEY = "spike-share", "spike"
EXIT_MISSED, EXIT_BAD_INPUT = 1, 2
ATTEMPTS_A_TASK = 50  # between two looks of Locust at a user
REPORT_GRACE_SECONDS = 15.0  # after the limit, for a worker that no longer reports
_log = logging.getLogger("spike")


class Spike:
    """What this Locust process knows of the load: its settings, and the run under way."""

    environment: Any
    settings: settings.SpikeSettings

    def __init__(self) -> None:
        self.share: Part | None = None  # a worker's, as its master told it
        self.session: Session | None = None  # of the process that publishes
        self.roster: Roster | None = None  # of a master
        self.report: Report | None = None  # a worker's last word of a run that has ended
        self.ends_at = 0.0
        self._runs = 0
        self._ending = threading.Lock()

    def scenario(self) -> Scenario:
        """Read the scenario chosen on the command line or in the UI."""
        return load_scenario(self.environment.parsed_options.scenario)

    def next_run_id(self) -> str:
        """Name a run; a test started again in the UI must offer new ids, the first run's tasks are done."""
        self._runs += 1
        return self.settings.run_id if self._runs == 1 else f"{self.settings.run_id}-{self._runs}"

    def publish(self, part: Part) -> None:
        """Begin to publish a part of the run in this process."""
        self.session = Session(self.scenario(), self.settings, part, record=record)
        self.session.start()

    def hand_out(self, runner: MasterRunner) -> None:
        """Tell each worker which part of the run it publishes."""
        clients = [client.id for client in (*runner.clients.ready, *runner.clients.spawning)]
        self.roster = Roster(self.next_run_id(), clients)
        self.ends_at = time.monotonic() + self.scenario().limit_seconds + REPORT_GRACE_SECONDS
        for client, part in self.roster.parts.items():
            runner.send_message(SHARE_MESSAGE, asdict(part), client_id=client)

    def over(self) -> bool:
        """Whether the run under way has come to its end."""
        if self.session is not None:
            return self.session.over
        return self.roster is not None and (self.roster.over or time.monotonic() > self.ends_at)

    def end(self) -> tuple[Standing, bool] | None:
        """End the run; return where it stands and whether every part was heard of, None when there is no run.

        Locust may stop a run twice at once, on a signal; the second caller waits for the first.
        """
        with self._ending:
            session, roster = self.session, self.roster
            if session is not None:
                session.stop()
                self.report = session.report(over=True)
                self.session = None
                return self.report.standing, True
            self.roster = None
            return None if roster is None else (roster.standing(), roster.complete)


SPIKE = Spike()


def record(kind: str, name: str, seconds: float, error: str | None = None) -> None:
    """Enter one measurement into Locust's statistics."""
    SPIKE.environment.events.request.fire(
        request_type=kind, name=name, response_time=seconds * 1000, response_length=0, exception=error, context={}
    )


class _Suggested(list[str]):
    """Choices for the UI's list that do not keep a path from being given."""

    def __contains__(self, value: object) -> bool:
        return True


@events.init_command_line_parser.add_listener
def add_options(parser: Any) -> None:
    """Add --scenario and --front, on the command line and in the UI."""
    parser.add_argument(
        "--scenario",
        env_var="SPIKE_SCENARIO",
        default=settings.DEFAULT_SCENARIO,
        choices=_Suggested(available()),
        metavar="NAME",
        help=f"scenario to run: {', '.join(available())}, or the path of a .yaml file",
    )
    parser.add_argument(
        "--front",
        env_var="SPIKE_FRONT_URL",
        default="",
        metavar="URL",
        help="offer the tasks to the web front there instead of the broker",
    )


@events.init.add_listener
def check_input(environment: Any, **_: Any) -> None:
    """Find what is wrong with the input before anything starts."""
    SPIKE.environment = environment
    environment.runner.register_message(SHARE_MESSAGE, take_share)
    # Without a UI Locust heeds SIGTERM only once the shape has ended; until then it would kill us with journals open.
    gevent.signal_handler(signal.SIGTERM, environment.runner.quit)
    try:
        front = settings.front_url(environment.parsed_options.front, source="--front")
        SPIKE.settings = replace(settings.from_environment(os.environ), front_url=front)
        if not isinstance(environment.runner, WorkerRunner):  # a worker gets the scenario's name from its master
            arrivals.plan(SPIKE.scenario(), SPIKE.settings.topology, run_id="check")
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)


def take_share(msg: Any, **_: Any) -> None:
    """Keep what the master says this worker shall publish."""
    SPIKE.share, SPIKE.report = Part(**msg.data), None


@events.test_start.add_listener
def begin(environment: Any, **_: Any) -> None:
    """Begin a run: publish, or as a master say who publishes what."""
    runner = environment.runner
    try:
        if isinstance(runner, MasterRunner):
            SPIKE.hand_out(runner)
        elif not isinstance(runner, WorkerRunner):
            SPIKE.publish(Part(run_id=SPIKE.next_run_id()))
        elif SPIKE.share is not None:
            SPIKE.publish(SPIKE.share)
        else:
            _log.error("the master has given this worker no part of the run: both must run this file")
    except HarnessError as error:  # a scenario that these values cannot take, chosen in the UI
        _log.error("%s", error)
        gevent.spawn(runner.stop)


@events.test_stop.add_listener
def end(environment: Any, **_: Any) -> None:
    """End the run; the process ends with 0 only if every task did its work."""
    ended = SPIKE.end()
    if ended is None:
        return
    standing, complete = ended
    good = standing.good and complete
    environment.process_exit_code = 0 if good else EXIT_MISSED
    _log.info("%s: %s", "every task did its work" if good else "NOT every task did its work", standing)


@events.report_to_master.add_listener
def report(client_id: str, data: dict[str, Any]) -> None:
    """Tell the master where this worker stands."""
    latest = SPIKE.report if SPIKE.session is None else SPIKE.session.report()
    if latest is not None:
        data[REPORT_KEY] = latest.as_dict()


@events.worker_report.add_listener
def collect(client_id: str, data: dict[str, Any]) -> None:
    """Take a worker's report."""
    if SPIKE.roster is not None and REPORT_KEY in data:
        SPIKE.roster.note(client_id, Report.from_dict(data[REPORT_KEY]))


class SpikeShape(LoadTestShape):
    """As many users as the scenario has publisher connections, until there is nothing left to see."""

    def tick(self) -> tuple[int, float] | None:
        """Return users and users a second, None to end the test."""
        if SPIKE.over():
            return None
        if SPIKE.session is None and SPIKE.roster is None:  # about to start
            try:
                connections = SPIKE.scenario().publisher.connections
            except HarnessError as error:  # chosen in the UI
                _log.error("%s", error)
                return None
            self.users = max(connections, len(getattr(self.runner, "clients", ())))
        return self.users, float(self.users)


class PublisherUser(User):
    """One publisher: takes the next attempt that is due, makes it, and comes back for more."""

    wait_time = constant(0)

    @task
    def publish(self) -> None:
        """Make attempts."""
        for _ in range(ATTEMPTS_A_TASK):
            if SPIKE.session is None:
                gevent.sleep(0.1)
            else:
                SPIKE.session.work()

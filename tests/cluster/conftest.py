"""One cluster for all tests, a namespace each or a release shared, and what is said when something goes wrong."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness import tools
from harness.cluster import way
from harness.errors import HarnessError
from harness.files import write_atomically
from tests.cluster import results
from tests.cluster.place import Place
from tests.cluster.results import RESULTS, Note, Results
from tests.cluster.space import Space

FAILED = pytest.StashKey[bool]()
PLACE = pytest.StashKey[Place]()
TURNS = tools.cache_home() / "e2e"
REMOVAL_SECONDS = 240.0
# Files and groups, the longest first. A process is given its next test ahead of time: the last, of two seconds, is what
# the one with the longest takes then, and the other one goes on with the rest meanwhile.
LONG = ("test_3_scaling.py", "release", "test_5_upgrade.py", "test_1_install.py", "test_6_monitoring.py")
STANDING = "prod,keda,kind"
# Two pods of io, so that one may be away while the other works; and only queues move pods: of requests divided by four
# the start of a worker alone uses more than the target.
STANDING_VALUES = {
    "workers": {
        "io": {"replicas": {"min": 2}, "targets": {"cpuUtilization": None, "memoryUtilization": None}},
        "cpu": {"targets": {"cpuUtilization": None}},
        "mixed": {"targets": {"cpuUtilization": None}},
    }
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cluster", action="store_true", help="run the tests that need a Kubernetes cluster")
    parser.addoption("--results", default=results.PART, metavar="NAME", help="where in reports/ their table goes")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "alone: measures; no other test runs on the cluster meanwhile")
    if config.getoption("--cluster", default=False) and not hasattr(config, "workerinput"):
        config.stash[RESULTS] = Results()
        config.pluginmanager.register(_Table(config.stash[RESULTS]))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Without --cluster there are no tests here."""
    inside = collection_path.is_relative_to(Path(__file__).parent)
    return True if inside and not config.getoption("--cluster", default=False) else None


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Have one process make the release that tests share, and run all of these; each process begins with long tests."""
    for item in items:
        if "release" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("release"))
    if hasattr(config, "workerinput"):
        items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    if item.path.name == "test_4_spike.py":  # one of it is to be alone: the others would wait
        return len(LONG) + 2
    group = item.get_closest_marker("xdist_group")
    name = group.args[0] if group else item.path.name
    return LONG.index(name) if name in LONG else len(LONG) + 1


@pytest.hookimpl(wrapper=True, tryfirst=True)  # around pytest-timeout: a test's limit is not for waiting
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Run tests of several processes side by side, but for those that are marked `alone`."""
    with _turn(alone=item.get_closest_marker("alone") is not None):
        return (yield)


@contextlib.contextmanager
def _turn(*, alone: bool) -> Iterator[None]:
    TURNS.mkdir(parents=True, exist_ok=True)
    with (TURNS / "turn.lock").open("w") as turn, (TURNS / "next.lock").open("w") as following:
        fcntl.flock(following, fcntl.LOCK_EX)  # nobody begins while one waits to be alone
        fcntl.flock(turn, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(following, fcntl.LOCK_UN)
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Where a phase failed, tell what is to be seen in the namespaces."""
    report = yield
    if PLACE in item.config.stash:
        report.user_properties.append(results.values_files(item.config.stash[PLACE].values_files))
    if report.failed:
        item.stash[FAILED] = True
        place = getattr(item, "funcargs", {}).get("place")
        for space in list(place.spaces) if place is not None else ():
            report.sections.append((space.name, space.story()))
    return report


class _Table:
    """Makes the table, in the process that hears of all tests."""

    def __init__(self, found: Results) -> None:
        self.found = found

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.found.add(report)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        if not self.found.rows:
            return
        terminalreporter.section("end to end")
        for line in self.found.text():
            terminalreporter.write_line(line)
        file = results.REPORTS / config.getoption("--results")
        file.parent.mkdir(exist_ok=True)
        write_atomically(file, json.dumps(self.found.document(), indent=2) + "\n")
        terminalreporter.write_line(f"also in {file.relative_to(config.rootpath)}")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Have the cluster before the processes that test on it start."""
    config = session.config
    if RESULTS in config.stash and config.getoption("numprocesses", default=None) and not config.option.collectonly:
        _have_cluster(config)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Have the cluster before the first test: no test's limit is for building Kubernetes."""
    config = session.config
    if not config.getoption("--cluster", default=False) or config.option.collectonly:
        return
    if any(item.path.is_relative_to(Path(__file__).parent) for item in session.items):
        _have_cluster(config)


def _have_cluster(config: pytest.Config) -> None:
    started = time.monotonic()
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():  # it says what it waits for
        try:
            place = Place.kind() if way.given(os.environ) is None else Place.given(os.environ)
            facts = place.facts()
        except HarnessError as error:
            pytest.exit(f"NO CLUSTER CAN BE HAD HERE, no end-to-end test ran: {error}", returncode=1)
    config.stash[PLACE] = place
    if RESULTS in config.stash:
        config.stash[RESULTS].facts |= facts
        config.stash[RESULTS].note_before("the cluster", time.monotonic() - started)


@pytest.fixture(scope="session")
def place(request: pytest.FixtureRequest) -> Place:
    """The cluster KUBECONFIG names, else a kind cluster: kept afterwards, `harness cluster down` removes it."""
    return request.config.stash[PLACE]


@dataclass
class Removals:
    """Namespaces that are being removed while tests go on elsewhere."""

    threads: list[threading.Thread] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def begin(self, space: Space) -> None:
        """Remove a namespace in a thread of its own."""
        thread = threading.Thread(target=self._remove, args=[space], name=f"removing {space.name}")
        self.threads.append(thread)
        thread.start()

    def _remove(self, space: Space) -> None:
        try:
            space.remove()
        except HarnessError as error:
            self.problems.append(f"namespace {space.name} is left: {error}")

    def end(self) -> None:
        """Wait for all of them; fail naming what is left."""
        for thread in self.threads:
            thread.join(REMOVAL_SECONDS)
        left = [thread.name for thread in self.threads if thread.is_alive()]
        assert not self.problems, "\n".join(self.problems)
        assert not left, f"not done after {REMOVAL_SECONDS:.0f} s: {left}"


@pytest.fixture(scope="session")
def removals() -> Iterator[Removals]:
    """Whatever happens, no namespace is left."""
    found = Removals()
    yield found
    found.end()


@pytest.fixture
def new_space(place: Place, removals: Removals, tmp_path: Path) -> Iterator[Callable[[], Space]]:
    """Makes namespaces that enforce restricted Pod Security; they are removed with everything made for them."""
    with contextlib.ExitStack() as stack:

        def make() -> Space:
            space = Space(place, f"cw-e2e-{secrets.token_hex(3)}", tmp_path)
            stack.callback(removals.begin, space)
            space.create()
            return space

        yield make


@pytest.fixture
def space(new_space: Callable[[], Space]) -> Space:
    """One such namespace."""
    return new_space()


@dataclass
class Standing:
    """The release that tests share while it is sound: production's values with KEDA, beside RabbitMQ and services."""

    place: Place
    removals: Removals
    directory: Path
    space: Space | None = None

    def get(self, note: Note) -> Space:
        """Return the release, made where there is none or the last test left it unsound."""
        if self.space is not None and not self._is_sound(self.space):
            self.discard()
        if self.space is None:
            started = time.monotonic()
            self.space = Space(self.place, f"cw-e2e-{secrets.token_hex(3)}", self.directory)
            self.space.create()
            self.space.fixtures()
            self.space.install(STANDING, values=STANDING_VALUES)
            note(*results.shared("the release tests share", time.monotonic() - started))
        return self.space

    def discard(self) -> None:
        """Remove the release with its namespace."""
        if self.space is not None:
            self.removals.begin(self.space)
            self.space = None

    @staticmethod
    def _is_sound(space: Space) -> bool:
        try:
            space.rollout("statefulset/rabbitmq", "deployment/services", seconds=60)
            space.settled(seconds=60)
        except (HarnessError, AssertionError):
            return False
        return True


@pytest.fixture(scope="session")
def standing(place: Place, removals: Removals, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    """What `release` hands out."""
    directory = tmp_path_factory.mktemp("standing")
    found = Standing(place, removals, directory)
    yield found
    found.discard()


@pytest.fixture
def release(standing: Standing, record_property: Note, request: pytest.FixtureRequest) -> Iterator[Space]:
    """The release tests share; after a test that failed the next one gets another."""
    yield standing.get(record_property)
    if request.node.stash.get(FAILED, False):
        standing.discard()

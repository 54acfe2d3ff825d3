"""What every test may rely on."""

from __future__ import annotations

import gc
import os

import pytest
from hypothesis import settings

from tests import typed

# Most of their time the tests wait: for brokers, workers and probes to come up, and for what must not happen.
TESTS_A_CORE = 3

# Files of long tests. They begin first, as do groups, so that no process is left with a long one at the end.
LONG = (
    "tests/local/test_soak.py",
    "tests/local/test_spike_run.py",
    "tests/local/test_ops_workers.py",
    "tests/chart/test_helm_unittest.py",
    "tests/chart/test_mutation.py",
    "tests/unit/planning/",
    "tests/chart/test_plan.py",
    "tests/local/",
)

# No deadlines: a busy machine is slow, not wrong. In CI the examples are the same each time, so that a change is judged
# by its own effect; everywhere else new ones are tried.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile(PROFILE := "ci" if os.environ.get("CI") else "default")
WITHOUT_LONG = "not full"  # the tests that `make test` asks for
QUICK_EXAMPLES = 25  # of a property there; elsewhere Hypothesis' own 100

# Python's own collector looks through all that was imported and collected again and again, a sixth of the unit tests'
# CPU time: it comes less often here, and leaves out what stays for good.
gc.set_threshold(100_000, 50, 50)

# Go's collector runs some twenty times in the third of a second that a helm lives: a quarter of its CPU time.
os.environ.setdefault("GOGC", "800")


def pytest_configure(config: pytest.Config) -> None:
    """Note what tests type, and try fewer examples of each property where long tests are left out."""
    config.pluginmanager.register(typed)
    if config.option.markexpr == WITHOUT_LONG:
        settings.register_profile("quick", settings.get_profile(PROFILE), max_examples=QUICK_EXAMPLES)
        settings.load_profile("quick")


def pytest_collection_finish() -> None:
    """Keep what was imported and collected from being looked through again."""
    gc.collect()
    gc.freeze()


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return how many tests run at a time where nobody says (-n auto)."""
    return TESTS_A_CORE * (os.cpu_count() or 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long tests first; those on a cluster have an order of their own."""
    ranks = {item: _rank(item) for item in items}
    items.sort(key=ranks.__getitem__)


def _rank(item: pytest.Item) -> int:
    if item.nodeid.startswith("tests/cluster/"):
        return 0
    place = next((place for place, start in enumerate(LONG) if item.nodeid.startswith(start)), len(LONG))
    return min(place, 3) if item.get_closest_marker("xdist_group") else place

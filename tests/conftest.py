"""What every test may rely on."""

from __future__ import annotations

import os

import pytest
from _pytest.nodeid import NodeId
from hypothesis import settings

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
settings.load_profile("ci" if os.environ.get("CI") else "default")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return how many tests run at a time where nobody says (-n auto)."""
    return TESTS_A_CORE * (os.cpu_count() or 1)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Name each test's group in its id, by which the processes of a run share the tests, and put the long ones first.

    pytest-xdist 3.8 does the first itself, but in a field that pytest 9.2 no longer reads: groups were torn apart.
    """
    ranks = {item: _rank(item) for item in items}
    items.sort(key=ranks.__getitem__)
    if not config.getoption("loadgroup", False):  # set in the processes that run tests, where there are several
        return
    for item in items:
        group = item.get_closest_marker("xdist_group")
        if group is not None and "@" not in item.nodeid.rpartition("]")[2]:
            path, *names = f"{item.nodeid}@{group.args[0]}".split("::")
            item._id = NodeId(path=path, names=tuple(names))


def _rank(item: pytest.Item) -> int:
    place = next((place for place, start in enumerate(LONG) if item.nodeid.startswith(start)), len(LONG))
    return min(place, 3) if item.get_closest_marker("xdist_group") else place

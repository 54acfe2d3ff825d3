"""What every test may rely on."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# Most of their time the tests wait: for brokers, workers and probes to come up, and for what must not happen.
TESTS_A_CORE = 3

# No deadlines: a busy machine is slow, not wrong. In CI the examples are the same each time, so that a change is judged
# by its own effect; everywhere else new ones are tried.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return how many tests run at a time where nobody says (-n auto)."""
    return TESTS_A_CORE * (os.cpu_count() or 1)

"""What the roles name that the chart's files name too: neither can import the other."""

from __future__ import annotations

import re

import pytest

from benchmarks import workers
from harness.broker.roles import roles
from tests.local.worker_release import load_file

LETTERS = load_file(workers.CHART_FILES / "celery_workers_letters.py")


@pytest.mark.parametrize("right", ["configure", "write", "read"])
def test_the_exporter_may_have_its_queue_of_notes_and_no_other_releases(right: str) -> None:
    topology = workers.make_topology(app="a", classes={}, queues={"io": workers.make_queue("io")})
    (exporter,) = [role for role in roles(topology) if role.name == "exporter"]
    pattern = getattr(exporter, right)
    assert re.search(pattern, LETTERS.notes_queue(topology))
    assert not re.search(pattern, LETTERS.notes_queue({"release": "another"}))

"""Which queues keep what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

from celery_workers import Topology

DOCUMENT = {
    "queues": {
        "io": {"type": "classic", "overflow": "reject-publish"},
        "cpu": {"type": "classic", "overflow": "reject-publish-dlx"},
        "q": {"type": "quorum", "overflow": "reject-publish-dlx"},  # a quorum queue cannot do it
        "old": {"type": "classic", "overflow": None},
    }
}


def test_only_a_classic_queue_with_reject_publish_dlx_stores_what_it_refuses() -> None:
    assert Topology.from_document(DOCUMENT).stores_refused == {"cpu"}


def test_a_queue_that_cannot_store_says_where_the_publisher_does() -> None:
    queues = {**DOCUMENT["queues"], "q": {"type": "quorum", "overflow": "reject-publish", "refused_to": "q.dead"}}
    found = Topology.from_document({"queues": queues})
    assert (found.stores_refused, found.refused_to) == ({"cpu"}, {"q": "q.dead"})


def test_the_file_the_chart_mounts_is_found_by_the_environment(tmp_path: Path) -> None:
    (tmp_path / "topology.json").write_text(json.dumps(DOCUMENT))
    environment = {"CELERY_WORKERS_CONFIG_DIR": str(tmp_path)}
    assert Topology.from_environment(environment).stores_refused == {"cpu"}


def test_without_a_file_no_queue_is_assumed_to_store(tmp_path: Path) -> None:
    assert Topology.from_environment({}) == Topology()
    assert Topology.from_environment({"CELERY_WORKERS_CONFIG_DIR": str(tmp_path)}) == Topology()


def test_every_queue_of_the_document_is_known() -> None:
    assert Topology.from_document(DOCUMENT).queues == {"io", "cpu", "q", "old"}

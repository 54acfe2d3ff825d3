"""docs/how-to/publish.md does what it says: its Python blocks run, in order, on a real broker."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from celery import Celery
from prometheus_client import REGISTRY

from celery_workers import Publisher
from celery_workers.metrics import PublisherCollector
from harness.broker.server import Broker
from tests.local.publishing import depth, drain, make_app

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "publish.md"


def blocks() -> list[str]:
    """The page's Python, without Django's, which test_publishing_outbox.py runs in a project."""
    found = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return [block for block in found if "django" not in block]


def test_every_block_of_the_page_runs(vhost_broker: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app = make_app(vhost_broker.amqp_url, io={})
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    orders = sa.Table("orders", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True))
    orders.create(engine)
    names: dict[str, Any] = {"app": app, "engine": engine, "orders": orders}
    try:
        for block in blocks():
            exec(compile(block, str(PAGE), "exec"), names)
        count = REGISTRY.get_sample_value(
            "celery_workers_publish_attempts_total", {"class": "other", "queue": "io", "outcome": "accepted"}
        )
    finally:
        for collector in [one for one in REGISTRY._collector_to_names if isinstance(one, PublisherCollector)]:
            REGISTRY.unregister(collector)
    assert capsys.readouterr().out == ""  # nothing was refused
    published = depth(app, "io")
    assert published == count == 1 + 2 + 1000 + 1 + 1
    assert names["task_id"] in drain(app, "io")
    with engine.connect() as connection:
        assert connection.scalar(sa.select(orders.c.id)) == 7


def test_the_page_names_every_metric() -> None:
    publisher = Publisher(Celery(broker="memory://", set_as_current=False))
    named = set(re.findall(r"`(celery_workers_publish_\w+)`", PAGE.read_text()))
    assert named == {f"{family.name}_total" for family in PublisherCollector(publisher).collect()}

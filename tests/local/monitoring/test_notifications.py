"""An alert fires in a real Prometheus, a real Alertmanager routes it by severity, and the notification arrives."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.chart.values import ROOT, environment_files
from harness.errors import HarnessError
from harness.monitoring import alertmanager, prometheus, rules
from harness.monitoring.alertmanager import Alertmanager
from harness.monitoring.configuration import Target
from tests.local.monitoring.exposition import Exposition, exposed
from tests.local.monitoring.webhook import Webhook, listening
from tests.local.worker_release import eventually as within

pytestmark = pytest.mark.timeout(180)
eventually = partial(within, seconds=60.0)

EXAMPLE = ROOT / "docs" / "how-to" / "alertmanager.yaml"
ON_CALL, TEAM = "/celery-on-call", "/celery-team"
FAST = {
    "monitoring.prometheusRule.interval": "1s",
    "monitoring.alerts.queueNearlyFull.for": "0s",
    "monitoring.alerts.queueFilling.for": "0s",
}


def waiting(messages: int) -> str:
    """Return what RabbitMQ's plugin exposes of the queue io."""
    name = "rabbitmq_detailed_queue_messages_ready"
    return f'# TYPE {name} gauge\n{name}{{vhost="/",queue="io"}} {messages}\n'


def configuration(webhook: Webhook) -> dict[str, Any]:
    """Return the documented routes with the stand-in's address, and in seconds what they have in minutes."""
    document: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())
    for receiver in document["receivers"]:
        for one in receiver.get("webhook_configs", ()):
            one["url"] = f"{webhook.url}/{receiver['name']}"
    for route in document["route"]["routes"]:
        route |= {"group_wait": "1s", "group_interval": "1s"}
    return document


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with listening() as found:
        yield found


@pytest.fixture
def manager(webhook: Webhook, tmp_path: Path) -> Iterator[Alertmanager]:
    with alertmanager.run(tmp_path / "alertmanager", configuration(webhook)) as found:
        yield found


@pytest.fixture
def broker(manager: Alertmanager, tmp_path: Path) -> Iterator[Exposition]:
    """What Prometheus is shown of RabbitMQ, while it evaluates the release's rules and tells the Alertmanager."""
    file = tmp_path / "rules.yaml"
    file.write_text(rules.text(rules.of_values(environment_files("prod"), set_values=FAST)))
    with (
        exposed(waiting(0)) as exposition,
        prometheus.run(
            tmp_path / "prometheus",
            [Target("rabbitmq", exposition.url)],
            rule_files=[file],
            interval_seconds=0.5,
            alertmanagers=[manager.address],
        ),
    ):
        yield exposition


def states(manager: Alertmanager) -> dict[str, str]:
    return {one["labels"]["alertname"]: one["status"]["state"] for one in manager.alerts()}


def test_a_notification_goes_out_by_severity_and_is_taken_back(
    broker: Exposition, manager: Alertmanager, webhook: Webhook
) -> None:
    broker.text = waiting(4500)
    assert eventually(lambda: "QueueNearlyFull" in webhook.names(ON_CALL, "firing")), webhook.notifications
    [alert] = [one for one in webhook.alerts(ON_CALL, "firing") if one["labels"]["alertname"] == "QueueNearlyFull"][:1]
    assert alert["labels"] | {"severity": "critical", "queue": "io", "class": "io"} == alert["labels"]
    assert alert["annotations"]["description"].startswith("90% of the 5000 messages that queue io may hold are waiting")
    assert alert["annotations"]["runbook_url"].endswith("/docs/runbook.md#queuenearlyfull")
    # That it fills as well is no news.
    assert eventually(lambda: states(manager).get("QueueFilling") == "suppressed"), manager.alerts()

    broker.text = waiting(3000)
    assert eventually(lambda: "QueueNearlyFull" in webhook.names(ON_CALL, "resolved")), webhook.notifications
    assert eventually(lambda: "QueueFilling" in webhook.names(TEAM, "firing")), webhook.notifications

    broker.text = waiting(0)
    assert eventually(lambda: "QueueFilling" in webhook.names(TEAM, "resolved")), webhook.notifications
    severities = {
        path: {one["labels"]["severity"] for one in webhook.alerts(path, "firing")} for path in (ON_CALL, TEAM)
    }
    assert severities == {ON_CALL: {"critical"}, TEAM: {"warning"}}


def test_routes_that_are_wrong_are_told(tmp_path: Path) -> None:
    wrong = {"route": {"receiver": "nobody"}, "receivers": []}
    with pytest.raises(HarnessError, match="nobody"), alertmanager.run(tmp_path, wrong):
        pass

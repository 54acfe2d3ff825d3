"""`harness setup`: install or build what a run or the tests need."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from harness import tools
from harness.broker import server
from harness.chaos import proxy
from harness.monitoring import alertmanager, prometheus
from harness.services import postgresql, redis

# What each purpose needs, by the functions that find it or make it.
NEEDS: Mapping[str, Mapping[str, Callable[[], Path | str]]] = {
    "spike": {"helm": tools.find_helm, "rabbitmq": server.prepare},
    "bench": {"helm": tools.find_helm, "rabbitmq": server.prepare, "redis": redis.prepare},
    "chaos": {
        "helm": tools.find_helm,
        "rabbitmq": server.prepare,
        "redis": redis.prepare,
        "postgresql": postgresql.prepare,
        "toxiproxy": lambda: tools.build(proxy.TOXIPROXY),
    },
    "test": {
        "helm 3": lambda: tools.find_helm(3),
        "helm 4": lambda: tools.find_helm(4),
        "helm-unittest": tools.find_helm_unittest,
        "kube-score": lambda: tools.build(tools.TOOLS["kube-score"]),
        "definitions": lambda: tools.module_directory(tools.TOOLS["prometheus-operator"]),
        "rabbitmq": server.prepare,
        "redis": redis.prepare,
        "postgresql": postgresql.prepare,
        "prometheus": prometheus.prepare,
        "alertmanager": alertmanager.prepare,
    },
    "monitor": {"helm": tools.find_helm, "rabbitmq": server.prepare, "prometheus": prometheus.prepare},
}


@click.command()
@click.option("--for", "purpose", type=click.Choice(sorted(NEEDS)), default="spike", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(purpose: str, as_json: bool) -> None:
    """Install or build what is missing, and say where each thing is.

    Helm comes from $HELM, from PATH, or is built from tools/; RabbitMQ is the one at $BROKER_URL, an installed one, a
    container, or the distribution's package; Redis and PostgreSQL are those at $REDIS_URL and $DATABASE_URL, installed
    ones, or the distribution's packages; Prometheus and Alertmanager are installed
    ones or the distribution's packages.
    """
    found = {name: str(find()) for name, find in NEEDS[purpose].items()}
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for name, where in found.items():
        click.echo(f"{name:14} {where}", err=True)

"""`harness rules`: a release's alerts and recorded series, as a file Prometheus reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from harness.chart import yaml_strict
from harness.chart.render import render, topology
from harness.cli.options import Chosen, chosen, values_options
from harness.errors import InputError
from harness.monitoring import rules
from harness.monitoring.normal import normal_seconds

NORMAL_KEY = "monitoring.alerts.latencyHigh.normalSeconds"


@click.command()
@values_options
@click.option("--output", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False), help="Write them there.")
@click.option(
    "--normal-from",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A plan.json or a run's result.json of an ordinary load: its median latencies are what is normal, until "
    "Prometheus has a day of history.",
)
def command(output: Path | None, normal_from: Path | None, as_json: bool, **options: Any) -> None:
    """Print the rules that the chart's PrometheusRule has, for a Prometheus without its operator.

    The same values make the same rules in both; `monitoring.alerts` has the thresholds. Kubernetes' series are looked
    for in --namespace; those of a local run have the namespace `local`.
    """
    values = chosen(**options)
    settings = dict(values.set_values)
    if normal_from is not None:
        normal = _normal(normal_from, values)
        settings[NORMAL_KEY] = normal
        click.echo(f"{NORMAL_KEY}: {json.dumps(normal)} (put it into your values to keep it)", err=True)
    found = rules.of_values(values.files, release=values.release, namespace=values.namespace, set_values=settings)
    if output is not None:
        _write(output, rules.text(found))
    if as_json:
        document = {
            "release": values.release,
            "namespace": values.namespace,
            "values": [yaml_strict.shown(path) for path in values.files],
            "file": None if output is None else str(output),
            **found,
        }
        click.echo(json.dumps(document, indent=2))
    elif output is not None:
        alerts, recorded = len(list(rules.alerts(found))), len(list(rules.recorded(found)))
        click.echo(f"{alerts} alerts and {recorded} recorded series written to {output}", err=True)
    else:
        click.echo(rules.text(found), nl=False)


def _normal(path: Path, values: Chosen) -> dict[str, float]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"--normal-from {path}: no JSON document: {error}") from error
    manifests = render(values.files, release=values.release, namespace=values.namespace, set_values=values.set_values)
    classes = {name: queue["class"] for name, queue in topology(manifests)["queues"].items()}
    return normal_seconds(document if isinstance(document, dict) else {}, classes, source=f"--normal-from {path}")


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"--output {path}: {error.strerror}; name a file you may write") from error

"""A release's alerts and recorded series as a rules file of Prometheus. The chart is their one source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.chart import yaml_strict
from harness.chart.render import render
from harness.errors import HarnessError

KIND = "PrometheusRule"
FILE_NAME = "rules.yaml"
HEADER = "# Written by `harness rules` from the chart's PrometheusRule: change the values, not this file.\n"


def of_values(
    values: Sequence[Path],
    *,
    release: str = "celery",
    namespace: str = "default",
    set_values: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the rules file of a release with these values, whether or not they ask for a PrometheusRule.

    `namespace` is the one in which Kubernetes' series have its pods; in a local run it is `local`. Raises as `render`.
    """
    wanted = {**(set_values or {}), "monitoring.prometheusRule.enabled": True}
    return document(render(values, release=release, namespace=namespace, set_values=wanted))


def document(manifests: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the rules file that says what the PrometheusRule of a render says. Raises HarnessError without one."""
    found = [manifest for manifest in manifests if manifest.get("kind") == KIND]
    if len(found) != 1:
        raise HarnessError(f"the render has {len(found)} objects of kind {KIND}, not 1")
    return {"groups": found[0]["spec"]["groups"]}


def text(rules: Mapping[str, Any]) -> str:
    """Return a rules file as it is written."""
    return HEADER + yaml_strict.dump_all([dict(rules)])


def write(
    path: Path,
    values: Sequence[Path],
    *,
    release: str,
    namespace: str,
    set_values: Mapping[str, Any] | None = None,
) -> Path:
    """Write the rules file of a release with these values and return its path. Raises as `of_values`."""
    found = of_values(values, release=release, namespace=namespace, set_values=set_values)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text(found))
    return path


def alerts(rules: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the alerts of a rules file, in order."""
    return (rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule)


def recorded(rules: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the recorded series of a rules file, in order."""
    return (rule for group in rules["groups"] for rule in group["rules"] if "record" in rule)

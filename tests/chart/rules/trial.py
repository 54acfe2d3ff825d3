"""All cases on the rendered rules, in one run of promtool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.chart import yaml_strict
from harness.chart.values import environment_files
from harness.errors import HarnessError
from harness.monitoring import rules
from tests.chart.rules import promtool
from tests.chart.rules.cases import CASES
from tests.chart.rules.promtool import Case, Rules

# Values of the rendered rules, by what cases call them.
RENDERED = {
    "prod": ("prod", {"exporter.enabled": True}),
    "keda": ("prod,keda", {"exporter.enabled": True}),  # has every alert
    "literal": ("prod", {"monitoring.alerts.scalingEvents.literal": True}),
    "dev": ("dev", {}),
}
TEXTS = yaml_strict.load_file(Path(__file__).with_name("texts.yaml"))


def rendered() -> dict[str, Rules]:
    """Return the rules that cases are tried on, by what they call them."""
    return {
        name: rules.of_values(environment_files(environments), set_values=settings)
        for name, (environments, settings) in RENDERED.items()
    }


def objections(found: Mapping[str, Rules], directory: Path) -> dict[str, str]:
    """Return what promtool has against each case, by the case's name; its files go below `directory`.

    Raises HarnessError where promtool objects to something that belongs to no case.
    """
    done = promtool.run(promtool.write(CASES, found, directory, texts=TEXTS))
    if done.returncode == 0:
        return {}
    said = promtool.failures(done)
    against = {case.name: words for case in CASES if (words := _against(case, said))}
    if not against:
        raise HarnessError(f"promtool ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return against


def _against(case: Case, said: Mapping[str, str]) -> str:
    """Return promtool's words against a case: of when its alert fires, and of the alert's text where that is shown."""
    return said.get(case.name, "") + (said.get(case.alert, "") if case.name in TEXTS else "")


@dataclass(frozen=True)
class Count:
    """An alert's cases, the moments at which it must fire or be silent, and how many cases promtool objects to."""

    alert: str
    severity: str
    cases: int
    fires: int
    silent: int
    failed: int


def counts(found: Mapping[str, Rules], against: Mapping[str, str]) -> list[Count]:
    """Return what was tried of each alert, in the rules' order."""
    severities = {rule["alert"]: rule["labels"]["severity"] for rule in rules.alerts(found["keda"])}
    return [
        _count(alert, severity, [case for case in CASES if case.alert == alert], against)
        for alert, severity in severities.items()
    ]


def _count(alert: str, severity: str, cases: Sequence[Case], against: Mapping[str, str]) -> Count:
    return Count(
        alert,
        severity,
        len(cases),
        sum(len(case.fires) for case in cases),
        sum(len(case.silent) for case in cases),
        sum(case.name in against for case in cases),
    )

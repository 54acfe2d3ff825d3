"""The runbook has a section for each alert, and the reference says of each what the values say."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import pytest

from harness.chart.values import ROOT, defaults, environment_files
from harness.monitoring import rules

RUNBOOK = ROOT / "docs" / "runbook.md"
REFERENCE = ROOT / "docs" / "reference" / "alerts.md"
# The guide's own list, "Alert Thresholds".
GUIDE = {
    "critical": {"QueueNearlyFull": 80, "CpuNearLimit": 90, "FailureRatio": 10, "ScalingEvents": 5},
    "warning": {"QueueFilling": 50, "MemoryHigh": 85, "LatencyHigh": 2},
}
THRESHOLDS = ("abovePercent", "perHour", "timesNormal")


@cache
def document() -> dict[str, Any]:
    return rules.of_values(environment_files("prod,keda"), set_values={"exporter.enabled": True})


def settings() -> dict[str, dict[str, Any]]:
    return {name: block for name, block in defaults()["monitoring"]["alerts"].items() if "severity" in block}


def named(key: str) -> str:
    return key[0].upper() + key[1:]


def anchors(markdown: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and GitLab make them."""
    headings = re.findall(r"^#+ (.+)$", markdown, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("alert", sorted(settings()))
def test_the_runbook_has_a_section_for_each_alert(alert: str) -> None:
    urls = {rule["annotations"]["runbook_url"] for rule in rules.alerts(document()) if rule["alert"] == named(alert)}
    [address] = urls
    assert address.partition("#")[2] in anchors(RUNBOOK.read_text())


def test_the_runbook_address_is_of_this_file() -> None:
    address = defaults()["monitoring"]["alerts"]["runbookUrl"]
    assert (ROOT / address.partition("/blob/main/")[2]) == RUNBOOK


def test_links_between_the_pages_lead_somewhere() -> None:
    pages = [REFERENCE, RUNBOOK, ROOT / "docs" / "how-to" / "alerts.md"]
    for page in pages:
        for target in re.findall(r"\]\((?!http)([^)]+)\)", page.read_text()):
            path, _, anchor = target.partition("#")
            found = (page.parent / path).resolve() if path else page
            assert found.exists(), f"{page.name}: {target}"
            assert not anchor or anchor in anchors(found.read_text()), f"{page.name}: {target}"


@pytest.mark.parametrize("alert", sorted(settings()))
def test_the_reference_says_of_an_alert_what_the_values_say(alert: str) -> None:
    [row] = [line for line in REFERENCE.read_text().splitlines() if f"| {named(alert)} |" in line]
    block = settings()[alert]
    assert f"| {named(alert)} | {block['severity']} | {block['for']} |" in row


def test_there_is_no_alert_without_values_nor_values_without_an_alert() -> None:
    assert {rule["alert"] for rule in rules.alerts(document())} == set(map(named, settings()))


def test_the_guides_seven_have_its_thresholds_and_severities() -> None:
    found: dict[str, dict[str, Any]] = {}
    for key, block in settings().items():
        if named(key) in {*GUIDE["critical"], *GUIDE["warning"]}:
            found.setdefault(block["severity"], {})[named(key)] = next(block[it] for it in THRESHOLDS if it in block)
    assert found == GUIDE


def test_every_recorded_series_is_in_the_reference() -> None:
    text = REFERENCE.read_text()
    for name in {rule["record"] for rule in rules.recorded(document())}:
        family, _, last = name.rpartition(":")
        plain = re.sub(r"(count|ratio)(5m|30m|1h|2h|6h|1d|3d)$", r"\1<window>", last) if "completion" in name else last
        assert family in text, name
        assert f":{plain}`" in text, name

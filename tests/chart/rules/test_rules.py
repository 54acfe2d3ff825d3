"""The alerts, tried by promtool: each fires, does not fire, and recovers. All of them in one process."""

from __future__ import annotations

import pytest

from harness.monitoring import rules
from tests.chart.rules import promtool, trial
from tests.chart.rules.cases import CASES
from tests.chart.rules.trial import TEXTS

# What is 0 or 1 has no near miss.
NO_NEAR_MISS = {"BreakerOpen", "PolicyMissing"}

pytestmark = [pytest.mark.xdist_group("promtool"), pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def rendered() -> dict[str, promtool.Rules]:
    return trial.rendered()


@pytest.fixture(scope="module")
def verdict(rendered: dict[str, promtool.Rules], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What promtool has against each case."""
    return trial.objections(rendered, tmp_path_factory.mktemp("promtool"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.alert}: {case.name}")
def test_an_alert_fires_when_it_should_and_then_only(case: promtool.Case, verdict: dict[str, str]) -> None:
    assert case.name not in verdict, verdict[case.name]


def test_each_case_has_its_own_name() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


def test_every_alert_is_seen_to_fire_to_be_silent_and_to_recover(rendered: dict[str, promtool.Rules]) -> None:
    wanted = {rule["alert"] for rule in rules.alerts(rendered["keda"])}
    seen = {alert: [case for case in CASES if case.alert == alert] for alert in wanted}
    assert {case.alert for case in CASES} == wanted
    assert {alert for alert in wanted if not any(case.fires and case.silent for case in seen[alert])} == set()
    assert {alert for alert in wanted if all(case.fires for case in seen[alert])} == NO_NEAR_MISS


def test_every_alert_has_its_text_in_full(rendered: dict[str, promtool.Rules]) -> None:
    shown = {case.alert for case in CASES if case.name in TEXTS}
    assert shown == {rule["alert"] for rule in rules.alerts(rendered["keda"])}
    assert set(TEXTS) <= {case.name for case in CASES}

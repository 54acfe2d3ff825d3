"""Each line of the checklist passes for what it should, and says what is missing where it fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.checklist import around, release
from harness.checklist.check import breaker_files
from harness.checklist.lines import FAIL, NOT_APPLICABLE, PASS, Run, Subject

UP = {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 3, "periodSeconds": 60}]}
DOWN = {"stabilizationWindowSeconds": 900, "policies": [{"type": "Percent", "value": 50, "periodSeconds": 600}]}
CLASSES = {"io": {"scaler": "hpa"}}
QUEUES: dict[str, dict[str, Any]] = {
    "io": {"class": "io", "max_length_messages": 5000, "overflow": "reject-publish", "message_ttl_seconds": 1800}
}


def scaler(kind: str, spec: dict[str, Any], name: str = "io") -> dict[str, Any]:
    return {"kind": kind, "metadata": {"labels": {"celery-workers/class": name}}, "spec": spec}


def hpa(behavior: dict[str, Any] | None) -> dict[str, Any]:
    return scaler("HorizontalPodAutoscaler", {} if behavior is None else {"behavior": behavior})


def rule(*alerts: str) -> dict[str, Any]:
    rules = [{"alert": name, "expr": "1"} for name in alerts] + [{"record": "a:b", "expr": "1"}]
    return {"kind": "PrometheusRule", "metadata": {}, "spec": {"groups": [{"name": "g", "rules": rules}]}}


RUN = Run(
    folder="20260101-1", scenario="email-slow", runtime="local", passed=True, lost=0, missed=(),
    completed_by_queue={"io": 100}, classes=CLASSES, queues=QUEUES,
)  # fmt: skip
SUBJECT = Subject(
    environment="prod", app="examx", manifests=[hpa({"scaleUp": UP, "scaleDown": DOWN})], classes=CLASSES,
    queues=QUEUES, redis_secret="celery-redis", breaker_files=("examx/breakers.py",), has_own_alerts=True, runs=[RUN],
    runbook="kubectl scale x\ninspect active_queues\n$ harness ops rate-limit a 1/m\n$ harness ops breaker b\n",
    runbook_name="runbook.md", known_commands=frozenset({"rate-limit", "breaker"}),
)  # fmt: skip


def test_speeds_of_an_hpa_are_told() -> None:
    line = release.scaling(SUBJECT)
    assert (line.verdict, line.evidence) == (
        PASS, ("io: up 3 pods in 60 s after 0 s; down 50 % in 600 s after 900 s",),
    )  # fmt: skip


def test_speeds_of_a_scaled_object_are_found_where_keda_has_them() -> None:
    behavior = {"scaleUp": UP, "scaleDown": DOWN}
    one = scaler("ScaledObject", {"advanced": {"horizontalPodAutoscalerConfig": {"behavior": behavior}}})
    assert release.scaling(replace(SUBJECT, manifests=[one])).verdict == PASS
    assert release.scaling(replace(SUBJECT, manifests=[scaler("ScaledObject", {})])).verdict == FAIL


@pytest.mark.parametrize(
    ("behavior", "missing"),
    [(None, "scaleUp and scaleDown"), ({"scaleUp": UP}, "scaleDown"), ({"scaleDown": DOWN}, "scaleUp")],
)
def test_kubernetes_own_speed_is_no_policy(behavior: dict[str, Any] | None, missing: str) -> None:
    line = release.scaling(replace(SUBJECT, manifests=[hpa(behavior)]))
    assert line.verdict == FAIL
    assert line.evidence == (f"io: {missing} at Kubernetes' own speed; set workers.io.behavior",)


@pytest.mark.parametrize(("environment", "verdict"), [("dev", NOT_APPLICABLE), ("prod", FAIL)])
def test_nothing_that_scales_is_fine_in_development_alone(environment: str, verdict: str) -> None:
    still = replace(SUBJECT, environment=environment, manifests=[], classes={"io": {"scaler": "none"}})
    assert release.scaling(still).verdict == verdict


def test_a_fixed_class_beside_one_that_scales_is_told_of() -> None:
    line = release.scaling(replace(SUBJECT, classes={**CLASSES, "beat": {"scaler": "none"}}))
    assert (line.verdict, line.evidence[-1]) == (PASS, "beat: a fixed number of pods (scaler none)")


def test_a_queue_needs_a_limit_and_a_life() -> None:
    assert release.overflow(SUBJECT).evidence == ("io: 5,000 messages, reject-publish, 1800 s",)
    for key, value in (("max_length_messages", "maxLength"), ("message_ttl_seconds", "messageTtl")):
        line = release.overflow(replace(SUBJECT, queues={"io": {**QUEUES["io"], key: None}}))
        assert line.verdict == FAIL
        assert line.evidence == (f"io: without {value}; set workers.io.queues.io",)


def test_all_seven_thresholds_want_an_alert() -> None:
    with_rules = replace(SUBJECT, manifests=[rule(*release.ALERTS, "NoConsumer")])
    assert release.alerts(with_rules).verdict == PASS
    assert len(release.alerts(with_rules).evidence) == len(release.ALERTS) == 7
    line = release.alerts(replace(SUBJECT, manifests=[rule(*[one for one in release.ALERTS if one != "MemoryHigh"])]))
    assert line.verdict == FAIL
    assert line.evidence[-1] == "no alert MemoryHigh: worker memory above 85 %"


def test_no_rule_fails_where_the_chart_has_alerts_and_is_not_applicable_where_it_has_none() -> None:
    assert release.alerts(SUBJECT).verdict == FAIL
    line = release.alerts(replace(SUBJECT, has_own_alerts=False))
    assert line.verdict == NOT_APPLICABLE
    assert "this chart brings no alerts" in line.evidence[0]


@pytest.mark.parametrize(
    ("files", "secret", "verdict", "evidence"),
    [
        (("examx/breakers.py",), "celery-redis", PASS, "shared through the Secret celery-redis"),
        (("examx/breakers.py",), None, FAIL, "set redis.existingSecret"),
        ((), "celery-redis", FAIL, "makes no celery_workers.breaker.CircuitBreaker"),
        (None, "celery-redis", NOT_APPLICABLE, "not importable here"),
    ],
)
def test_breakers_need_code_and_redis(files: Any, secret: str | None, verdict: str, evidence: str) -> None:
    line = around.breakers(replace(SUBJECT, breaker_files=files, redis_secret=secret))
    assert line.verdict == verdict
    assert evidence in " ".join(line.evidence)


def test_a_run_on_these_classes_is_evidence_and_says_what_it_missed() -> None:
    assert around.load_test(SUBJECT).verdict == PASS
    missed = replace(RUN, passed=False, missed=("drain",))
    line = around.load_test(replace(SUBJECT, runs=[missed]))
    assert (line.verdict, line.evidence) == (
        PASS, ("20260101-1: email-slow on local, 100 done, 0 lost, missed: drain",),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("run", "evidence"),
    [
        (replace(RUN, lost=1), "1 lost"),
        (replace(RUN, completed_by_queue={"io": 0}), "no run has loaded class io"),
        (replace(RUN, classes={"io": {"scaler": "keda"}}), "no run on these classes and queues; 1 runs were on others"),
        (replace(RUN, queues={}), "no run on these classes and queues"),
    ],
)
def test_a_run_that_lost_loaded_nothing_or_ran_on_others_is_none(run: Run, evidence: str) -> None:
    line = around.load_test(replace(SUBJECT, runs=[run]))
    assert line.verdict == FAIL
    assert evidence in " ".join(line.evidence)


def test_no_run_says_what_makes_one() -> None:
    assert "`harness spike` makes one" in around.load_test(replace(SUBJECT, runs=[])).evidence[0]


def test_a_runbook_needs_each_step_and_commands_that_exist() -> None:
    assert around.runbook(SUBJECT).verdict == PASS
    assert SUBJECT.runbook is not None
    without = around.runbook(replace(SUBJECT, runbook=SUBJECT.runbook.replace("kubectl scale", "pray")))
    assert (without.verdict, without.evidence[1]) == (FAIL, "runbook.md: nothing says how to scale by hand")
    unknown = around.runbook(replace(SUBJECT, known_commands=frozenset({"breaker"})))
    assert (unknown.verdict, unknown.evidence[-1]) == (FAIL, "runbook.md: `harness ops rate-limit` does not exist")
    assert around.runbook(replace(SUBJECT, runbook=None)).verdict == FAIL


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from celery_workers.breaker import CircuitBreaker\nb = CircuitBreaker('a')\n", ("shop/tasks.py",)),
        ("from celery_workers import breaker\nb = breaker.CircuitBreaker('a')\n", ("shop/tasks.py",)),
        ("from celery_workers.breaker import CircuitBreaker\n", ()),
        ("from pybreaker import CircuitBreaker\nb = CircuitBreaker()\n", ()),
        ("this is no python\n", ()),
    ],
)
def test_breakers_are_found_in_code_that_is_not_run(text: str, found: tuple[str, ...], tmp_path: Path) -> None:
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit\n")
    (package / "tasks.py").write_text(text)
    assert breaker_files("shop.app:celery", tmp_path) == found
    assert breaker_files("no_such_shop", tmp_path) is None

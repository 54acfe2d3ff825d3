"""The schedule of a probe, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import InputError
from harness.runtime.local.probes import ProbeSpec, ProbeState, at_once, observe, started


def spec(**figures: Any) -> ProbeSpec:
    probe = ProbeSpec.from_manifest("readiness", {"exec": {"command": ["true"]}, **figures}, where="c")
    assert probe is not None
    return probe


def after(probe: ProbeSpec, answers: str) -> ProbeState:
    """Run attempts, + for yes and - for no, each begun exactly when it was due."""
    state = started(probe, 100.0)
    for answer in answers:
        state = observe(probe, state, answer == "+", begun_at=state.next_at)
    return state


def test_kubernetes_defaults() -> None:
    probe = spec()
    assert (probe.initial_delay_seconds, probe.period_seconds, probe.timeout_seconds) == (0, 10, 1)
    assert (probe.success_threshold, probe.failure_threshold) == (1, 3)


def test_the_first_attempt_waits_for_the_initial_delay_and_the_next_for_the_period() -> None:
    probe = spec(initialDelaySeconds=7, periodSeconds=5)
    state = started(probe, 100.0)
    assert state.next_at == 107.0
    assert observe(probe, state, True, begun_at=107.3).next_at == pytest.approx(112.3)


@pytest.mark.parametrize(
    ("answers", "passing"),
    [
        ("", None),
        ("+", True),
        ("-", None),
        ("--", None),
        ("---", False),
        ("+--", True),
        ("+---", False),
        ("+--+--", True),
    ],
)
def test_three_failures_in_a_row_fail(answers: str, passing: bool | None) -> None:
    assert after(spec(), answers).passing is passing


@pytest.mark.parametrize(
    ("answers", "passing"), [("+", None), ("+-+", None), ("++", True), ("---+", False), ("---++", True)]
)
def test_two_successes_in_a_row_pass(answers: str, passing: bool | None) -> None:
    assert after(spec(successThreshold=2), answers).passing is passing


def test_a_passed_startup_probe_makes_the_others_due_at_once() -> None:
    state = started(spec(initialDelaySeconds=60), 100.0)
    assert at_once(state, 103.0).next_at == 103.0
    assert at_once(state, 200.0).next_at == 160.0


@pytest.mark.parametrize(
    ("probe", "message"),
    [
        ({"tcpSocket": {"port": 1}}, "readinessProbe.tcpSocket"),
        ({"httpGet": {"port": 1}}, "readinessProbe.httpGet"),
        ({"grpc": {"port": 1}}, "readinessProbe.grpc"),
        ({"periodSeconds": 3}, "needs exec"),
        ({"exec": {"command": ["x"]}, "surprise": 1}, "surprise"),
    ],
)
def test_probes_that_cannot_be_told_apart_here_are_refused(probe: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match="Deployment d") as caught:
        ProbeSpec.from_manifest("readiness", probe, where="Deployment d")
    assert message in str(caught.value)


def test_no_probe_is_none() -> None:
    assert ProbeSpec.from_manifest("liveness", None, where="c") is None

"""The core against recorded decisions of Kubernetes' own controller (tools/hpa-oracle)."""

import pytest

from harness.autoscaling import ControllerConfig, HpaSpec
from harness.autoscaling.replay import replay
from tests.unit.autoscaling import trace_files

HOURS = list(trace_files.read_all())


def test_there_are_traces_that_move():
    moves = sum(
        seen["replicas"]["spec"] != decided
        for hour in HOURS
        for seen, decided in zip(hour["observations"], hour["decisions"], strict=True)
    )
    assert len(HOURS) >= 30
    assert moves >= 500


@pytest.mark.parametrize("hour", HOURS, ids=lambda hour: hour["id"])
def test_every_decision_is_the_controllers(hour):
    spec = HpaSpec.from_manifest(hour["hpa"], controller=ControllerConfig(**hour["controller"]))
    decided = [decision for _, decision in replay(spec, hour["observations"])]
    for seen, ours, theirs in zip(hour["observations"], decided, hour["decisions"], strict=True):
        assert ours.desired == theirs, f"at {seen['t']} s the controller sets {theirs}; core: {ours.reason}"

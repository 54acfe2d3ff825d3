"""Days of decisions on arrays against the readable core, sync by sync."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.autoscaling import ControllerConfig, HpaSpec, Observation, PodSample, State, decide
from harness.simulation.hpa_days import decide_day
from tests.unit.autoscaling.builders import hpa, resource, rules

REQUEST_MILLI, LIMIT_MILLI = 200, 900
SETTLED_SECONDS = -100_000.0


def by_the_core(spec: HpaSpec, demand: list[int], boot: float) -> list[int]:
    """Decide each sync by `decide`, on pods as `decide_day` describes them."""
    created, state, replicas = [SETTLED_SECONDS] * spec.min_replicas, State(), []
    for step, milli in enumerate(demand):
        now = step * spec.controller.sync_seconds
        up = sum(at + boot <= now for at in created)
        usage = min(milli // up, LIMIT_MILLI) if up else 0
        pods = tuple(pod(f"p{index}", at, boot, usage, now) for index, at in enumerate(created))
        seen = Observation(spec_replicas=len(pods), status_replicas=len(pods), pods=pods)
        decision, state = decide(spec, state, seen, now_seconds=now)
        created = created[: decision.desired] + [now] * (decision.desired - len(created))
        replicas.append(decision.desired)
    return replicas


def pod(name: str, created: float, boot: float, usage: int, now: float) -> PodSample:
    ready = created + boot <= now
    return PodSample(
        name=name,
        ready=ready,
        start_time_seconds=created,
        last_transition_seconds=created + boot if ready else created,
        requests_milli={"cpu": REQUEST_MILLI},
        usage_milli={"cpu": usage},
        metric_timestamp_seconds=now - 7.5,
        metric_window_seconds=15.0,
    )


def by_the_arrays(spec: HpaSpec, demand: list[int], boot: float, **options: Any) -> list[int]:
    return decide_day(
        spec,
        np.array(demand),
        request_milli=REQUEST_MILLI,
        limit_milli=LIMIT_MILLI,
        boot_seconds=boot,
        **options,
    ).tolist()


POLICIES = st.lists(
    st.tuples(st.sampled_from(["Pods", "Percent"]), st.integers(1, 200), st.sampled_from([15, 40, 60, 300])),
    min_size=1,
    max_size=3,
)


@st.composite
def specs(draw: Any) -> HpaSpec:
    behavior = {
        direction: rules(
            *draw(POLICIES),
            window=draw(st.sampled_from([0, 30, 300])),
            select=draw(st.sampled_from(["Max", "Min", "Disabled"])),
        )
        for direction in ("scaleUp", "scaleDown")
    }
    return hpa(
        resource(percent=draw(st.integers(20, 120))),
        minimum=draw(st.integers(1, 5)),
        maximum=draw(st.integers(5, 60)),
        behavior=behavior,
        controller=ControllerConfig(initial_readiness_delay_seconds=draw(st.sampled_from([0.0, 30.0]))),
    )


DEMANDS = st.lists(st.integers(0, 20_000), min_size=1, max_size=12).map(lambda levels: np.repeat(levels, 9).tolist())
BOOTS = st.sampled_from([0.0, 12.0, 45.0, 400.0])


@settings(max_examples=40)
@given(specs(), DEMANDS, BOOTS)
def test_each_decision_is_that_of_the_core(spec: HpaSpec, demand: list[int], boot: float) -> None:
    expected = by_the_core(spec, demand, boot)
    assert by_the_arrays(spec, demand, boot, compiled=False) == expected
    assert by_the_arrays(spec, demand, boot, compiled=False, by_pod=True) == expected


@pytest.mark.xdist_group("compiled-simulation")
@pytest.mark.timeout(600)
@given(specs(), DEMANDS, BOOTS, st.booleans())
def test_the_compiled_decisions_are_the_same(spec: HpaSpec, demand: list[int], boot: float, by_pod: bool) -> None:
    plain, compiled = (by_the_arrays(spec, demand, boot, by_pod=by_pod, compiled=on) for on in (False, True))
    assert compiled == plain


def test_what_cannot_be_decided_by_the_day_is_said() -> None:
    with pytest.raises(ValueError, match="only a CPU metric"):
        by_the_arrays(hpa(behavior={}), [1], 0.0)
    with pytest.raises(ValueError, match="needs behavior"):
        by_the_arrays(hpa(resource(percent=50)), [1], 0.0)

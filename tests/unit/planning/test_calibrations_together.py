"""Several calibrations as one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputError
from harness.planning.calibrations_together import several, together
from harness.planning.figures import ASSUMED_POOLS, CostAtRates, Figures, assumed

NEVER = "gevent.warm_up_cpu_seconds"


def figures(source: str = "a", *, gevent: dict[str, Any] | None = None, **changes: Any) -> Figures:
    pools = {**ASSUMED_POOLS, "gevent": replace(ASSUMED_POOLS["gevent"], **(gevent or {}))}
    return replace(assumed("kind"), pools=pools, source=source, measured_at=1.0, **changes)


def test_each_figure_is_the_median_of_the_runs() -> None:
    runs = [
        figures("a", gevent={"start_seconds": 3.9, "memory_bytes": 10}, host_factor=2.0, pod_cores=0.01),
        figures("b", gevent={"start_seconds": 2.7, "memory_bytes": 13}, host_factor=4.5, pod_cores=None),
        figures("c", gevent={"start_seconds": 3.0, "memory_bytes": 11}, host_factor=2.9, pod_cores=0.04),
    ]
    found = together(runs)
    assert (found.pools["gevent"].start_seconds, found.pools["gevent"].memory_bytes) == (3.0, 11)
    assert (found.host_factor, found.source) == (2.9, "a, b, c")
    assert found.pod_cores == pytest.approx(0.025)
    assert found.pools["prefork"] == ASSUMED_POOLS["prefork"]


def test_what_one_run_assumes_the_others_tell() -> None:
    name = "gevent.cpu_factor"
    runs = [
        figures("a", gevent={"cpu_factor": 1.0}, assumed=(NEVER, name)),
        figures("b", gevent={"cpu_factor": 2.0}, assumed=(NEVER,)),
    ]
    found = together(runs)
    assert found.pools["gevent"].cpu_factor == 2.0
    assert found.assumed == (NEVER,)
    assert together([runs[0]] * 2).assumed == (NEVER, name)


def test_a_cost_is_that_of_the_runs_that_show_one() -> None:
    def cost(share: float) -> CostAtRates:
        return CostAtRates(55.0, 100.0, share, 24.0, 1.1)

    runs = [
        figures("a", gevent={"message_cpu_seconds": 0.003, "message_cost": cost(0.6)}, host_cost=cost(0.8)),
        figures("b"),
        figures("c", gevent={"message_cpu_seconds": 0.004, "message_cost": cost(0.7)}),
    ]
    gevent = together(runs).pools["gevent"]
    assert gevent.message_cpu_seconds == pytest.approx(0.0035)
    assert gevent.message_cost is not None
    assert gevent.message_cost.crowd_share == pytest.approx(0.65)
    assert together(runs).host_cost == cost(0.8)
    assert together([runs[1]] * 2).host_cost is None


def test_few_that_were_not_measured_tell_nothing_of_few() -> None:
    measured, missing = CostAtRates(55.0, 100.0, 0.6, 24.0, 1.3), CostAtRates(53.0, 100.0, 0.6, 53.0, 1.0)
    found = together([figures("a", host_cost=measured), figures("b", host_cost=missing)]).host_cost
    assert found is not None
    assert (found.few_per_second, found.few_share) == (24.0, 1.3)


def test_a_start_alone_counts_more_than_one_beside_others() -> None:
    beside = figures("a", gevent={"start_seconds": 9.0}, assumed=(NEVER, "gevent.start_alone"))
    alone = figures("b", gevent={"start_seconds": 3.0}, assumed=(NEVER,))
    assert together([beside, alone]).pools["gevent"].start_seconds == 3.0
    assert together([beside, beside]).never_alone == ("gevent",)


def test_what_a_task_costs_outside_the_worker_is_of_the_runs_that_show_it() -> None:
    shown = figures("a", gevent={"host_cpu_seconds": 0.002}, host_factor=2.0)
    unknown = figures("b", gevent={"host_cpu_seconds": 0.009}, host_factor=9.0, assumed=("host_factor",))
    found = together([shown, unknown])
    assert (found.host_factor, found.pools["gevent"].host_cpu_seconds) == (2.0, 0.002)


def test_they_are_of_one_runtime() -> None:
    with pytest.raises(InputError, match="kind and local: name runs of one runtime"):
        together([figures(), replace(figures(), runtime="local")])
    with pytest.raises(InputError, match="of no run"):
        together([])


RATES = st.floats(1, 1000)


@given(st.lists(st.tuples(RATES, st.floats(0, 5), st.floats(1.01, 5), st.floats(0.01, 1), st.floats(1, 3)), min_size=1))
def test_the_whole_can_be_kept_and_read_again(laws: list[tuple[float, float, float, float, float]]) -> None:
    costs = [
        CostAtRates(few * (1 + more), few * (1 + more) * crowd, share, few, few_share)
        for few, more, crowd, share, few_share in laws
    ]
    runs = [figures(str(number), host_cost=cost) for number, cost in enumerate(costs)]
    found = together(runs)
    assert Figures.from_dict(found.as_dict(), source="mine") == found
    assert together([*reversed(runs)]).host_cost == found.host_cost


@pytest.mark.parametrize(
    ("machine", "says"),
    [
        ({"cores": 8, "memory_bytes": 25 * 10**9}, "2 cores and 23 GiB, b with 8 cores and 23 GiB"),
        ({"cores": 2, "memory_bytes": 9 * 10**9}, "2 cores and 23 GiB, b with 2 cores and 8 GiB"),
        ({}, "b with unknown cores and unknown memory"),
    ],
)
def test_runs_of_two_machines_are_refused(machine: dict[str, Any], says: str) -> None:
    here = {"cores": 2, "memory_bytes": 25 * 10**9}
    with pytest.raises(InputError, match=says):
        together([figures("a", machine=here), figures("b", machine=machine)])
    assert together([figures("a", machine=here), figures("b", machine={**here, "system": "newer"})])


def test_a_run_that_was_disturbed_is_left_out_and_told_and_one_is_needed() -> None:
    told: list[str] = []

    def measure(run: Path) -> Figures:
        if run.name == "busy":
            raise InputError("busy: it was")
        return figures(run.name)

    def left_out(error: InputError) -> None:
        told.append(str(error))

    found = several(map(Path, ("a", "busy", "c")), measure, left_out=left_out)
    assert (found.source, told) == ("a, c", ["busy: it was"])
    with pytest.raises(InputError, match="calibrate again"):
        several([Path("busy")], measure, left_out=left_out)

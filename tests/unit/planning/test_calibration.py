"""From a calibration run to the figures of its workers."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from harness.chart import render
from harness.errors import InputError
from harness.planning import calibrations
from harness.planning.calibrate import confirm_seconds, run_seconds, turn_seconds, undisturbed, working_at
from harness.planning.calibration import derive
from harness.planning.figures import ASSUMED_POOLS, FORMAT_VERSION, CostAtRates, Figures, assumed
from harness.planning.place import pod_cpu_seconds
from harness.runtime.base import RuntimeEvent, ScaleEvent
from harness.spike import result
from harness.spike.arrivals import plan
from harness.spike.ledger import Counts, FinalState, Ledger, Publication, TaskRecord
from harness.spike.result import Result, RunFacts
from harness.spike.scenario import load_scenario
from tests.unit.planning.cases import topology
from tests.unit.spike_report.scenes import setup_of
from tests.unit.spike_report.synthetic import Class

EPOCH = 1_790_000_000.0
IDLE_CORES, BACKGROUND_CORES, START_CPU_SECONDS, OVERHEAD_SECONDS, OWN_CPU_SECONDS = 0.03, 0.24, 1.8, 0.025, 0.0026
HOST_FACTOR = 2.2
# Of some 150 tasks a second one costs its worker less than of 53, of 23 more, and of those between as powers of it.
CROWD_OWN_SHARE, CROWD_HOST_SHARE = 0.61, 0.7
FEW_OWN_SHARE, FEW_HOST_SHARE = 1.3, 1.4
OWN_LAW = CostAtRates(
    per_second=53.4, crowd_per_second=150.0, crowd_share=CROWD_OWN_SHARE, few_per_second=22.7, few_share=FEW_OWN_SHARE
)
FEW_AT, FEW_OVER_AT, GROWTH_AT, CROWD_AT, CROWD_OVER_AT, END = 32, 50, 122, 166, 172, 224
POD_CORES, FEW_SECONDS = 0.02, 15
WARM_UP_CPU_SECONDS = ASSUMED_POOLS["gevent"].warm_up_cpu_seconds
CREATED_AT, ADDED_AT = -20.0, 134.5
WINDOW_SECONDS = 15.0
IO = Class(name="io", request_cores=0.2)
STATED_OWN_CPU_SECONDS = 0.0021 - ASSUMED_POOLS["gevent"].host_cpu_seconds


def calibration(added: int = 1) -> Result:
    """A run in which everything that is to be measured is known, with only the io class in it, which adds pods once."""
    scenario = load_scenario("calibration")
    load = plan(scenario, topology(), run_id="cal")
    mails = [one for one in load.arrivals if one.worker_class == "io"]
    records = tuple(
        TaskRecord(
            id=one.id, task=one.task, queue=one.queue, phase=one.phase, publication=Publication.ACCEPTED,
            state=FinalState.COMPLETED, death=None, first_attempt_at=EPOCH + one.due_seconds,
            accepted_at=EPOCH + one.due_seconds + 0.002,
            done_at=EPOCH + one.due_seconds + one.service_seconds + OVERHEAD_SECONDS,
            refused_at=(), resolved_late=False, stored=False,
        )
        for one in mails
    )  # fmt: skip
    offered = Counter(math.floor(one.due_seconds) for one in mails)
    done = Counter(math.floor(one.due_seconds + one.service_seconds + OVERHEAD_SECONDS) for one in mails)
    in_work = {second: sum(offered[at] - done[at] for at in range(second + 1)) for second in range(-20, END)}
    phases = Counter(one.phase for one in mails)
    facts = RunFacts(
        run_id="cal", scenario="calibration", runtime="local", started_at=EPOCH, duration_seconds=float(END),
        command="harness calibrate", setup=setup_of([IO]),
    )  # fmt: skip
    deployment = IO.deployment
    return result.build(
        facts=facts,
        ledger=Ledger(records=records, counts=Counts.of(records)),
        objectives=scenario.objectives,
        due_at={one.id: EPOCH + one.due_seconds for one in mails},
        samples=[
            _sample(second, offered[second], done[second], in_work[second], phases, added=added)
            for second in range(-20, END)
        ],
        scale_events=[
            ScaleEvent(EPOCH + 45.0, "celery-iota-worker", 1, 2, "another class's, before the most is in work"),
            ScaleEvent(EPOCH + ADDED_AT, deployment, 1, 2, "the queue is long"),
        ],
        events=[
            RuntimeEvent(EPOCH + CREATED_AT, "created", f"{deployment}-a-1"),
            RuntimeEvent(EPOCH + CREATED_AT + 9, "ready", f"{deployment}-a-1"),
            RuntimeEvent(EPOCH + ADDED_AT, "created", f"{deployment}-b-2"),
            RuntimeEvent(EPOCH + ADDED_AT + 8, "ready", f"{deployment}-b-2"),
            RuntimeEvent(EPOCH + ADDED_AT, "created", "celery-iota-worker-c-3"),
            RuntimeEvent(EPOCH + ADDED_AT + 1, "ready", "celery-iota-worker-c-3"),
        ],
    )


def _sample(second: int, offered: int, done: int, in_work: int, phases: Counter[str], *, added: int) -> dict[str, Any]:
    """What was seen in a second, with all windows of CPU use; what its tasks cost outside the workers is known."""
    pods = 1 if second < ADDED_AT else 1 + added
    crowded = CROWD_AT <= second < CROWD_OVER_AT
    few = FEW_AT <= second < FEW_OVER_AT
    share = CROWD_OWN_SHARE if crowded else OWN_LAW.share((offered + done) / 2) if second >= GROWTH_AT else 1.0
    own = OWN_CPU_SECONDS * (FEW_OWN_SHARE if few else share)
    factor = HOST_FACTOR * (CROWD_HOST_SHARE if crowded else FEW_HOST_SHARE if few else 1.0)
    outside = factor * (0.0005 * offered + ASSUMED_POOLS["gevent"].host_cpu_seconds * done)
    once = WARM_UP_CPU_SECONDS / FEW_SECONDS if FEW_AT <= second < FEW_AT + FEW_SECONDS else 0.0
    return {
        "t": second,
        "queues": {"io": {"ready": 0, "unacked": in_work}},
        "replicas": {IO.deployment: {"desired": pods, "running": pods, "ready": pods}},
        "cpu_cores": {"io": None},
        "cpu_windows": {"io": _windows(phases)},
        "memory_bytes": {"io": 60e6 * pods + (12e6 if 60 <= second < 70 else 0)},
        "machine_cores": BACKGROUND_CORES
        + IDLE_CORES * pods
        + (POD_CORES if added > 1 else 0.0) * pods
        + own * (offered + done) / 2
        + outside
        + once,
    }


def _windows(phases: Counter[str]) -> list[tuple[str, float, float, float]]:
    """Two pods: a start each, and what the tasks few at a time, alone and of the crowd cost; two windows share some."""
    few = WARM_UP_CPU_SECONDS + OWN_CPU_SECONDS * FEW_OWN_SHARE * phases["io-few"]
    alone = OWN_CPU_SECONDS * phases["io-alone"]
    crowd = OWN_CPU_SECONDS * CROWD_OWN_SHARE * phases["io-crowd"]
    used_from = {-20: START_CPU_SECONDS, 25: few * 0.5, 40: few * 0.5, 70: alone}
    windows = []
    for pod, begin, used in (
        ("a", CREATED_AT, used_from | {160: crowd * 0.5}),
        ("b", ADDED_AT, {134.5: START_CPU_SECONDS, 164.5: crowd * 0.5}),
    ):
        while begin + WINDOW_SECONDS <= END:
            cores = IDLE_CORES + used.get(begin, 0.0) / WINDOW_SECONDS
            windows.append((pod, EPOCH + begin, EPOCH + begin + WINDOW_SECONDS, cores))
            begin += WINDOW_SECONDS
    return windows


def measured(**changes: Any) -> Figures:
    arguments = {
        "working_at": {f"{IO.deployment}-b-2": ADDED_AT + 5.5, f"{IO.deployment}-a-1": CREATED_AT + 7.5},
        "confirm_seconds": 0.0031,
        **changes,
    }
    return derive(calibration(), load_scenario("calibration"), topology(), **arguments)


def test_every_figure_is_what_it_was() -> None:
    found = measured()
    io = found.pools["gevent"]
    assert (io.start_seconds, io.ready_seconds) == (5.5, 8.0)
    assert io.overhead_seconds == pytest.approx(OVERHEAD_SECONDS, abs=0.001)
    assert io.idle_cores == pytest.approx(IDLE_CORES)
    assert io.start_cpu_seconds == pytest.approx(START_CPU_SECONDS, rel=0.05)
    assert io.cpu_factor == pytest.approx(OWN_CPU_SECONDS / STATED_OWN_CPU_SECONDS, rel=0.01)
    assert io.host_cpu_seconds == pytest.approx(HOST_FACTOR * ASSUMED_POOLS["gevent"].host_cpu_seconds, rel=0.01)
    assert found.host_factor == pytest.approx(HOST_FACTOR, rel=0.01)
    assert io.message_cpu_seconds == pytest.approx(OWN_CPU_SECONDS, rel=0.01)
    assert io.message_cost is not None
    assert io.message_cost.per_second == pytest.approx(53.4, rel=0.05)
    assert io.message_cost.crowd_share == pytest.approx(CROWD_OWN_SHARE, rel=0.02)
    assert io.message_cost.few_per_second == pytest.approx(22.7, rel=0.05)
    assert io.message_cost.few_share == pytest.approx(FEW_OWN_SHARE, rel=0.02)
    assert found.host_cost is not None
    assert found.host_cost.crowd_share == pytest.approx(CROWD_HOST_SHARE, rel=0.02)
    assert found.host_cost.few_per_second == pytest.approx(24, rel=0.1)
    assert found.host_cost.few_share == pytest.approx(FEW_HOST_SHARE, rel=0.05)
    assert found.host_cost.per_second == pytest.approx(101, rel=0.02)  # tasks begin to end two seconds later
    assert io.memory_bytes == 60_000_000
    assert io.memory_bytes_per_task == 60_000
    assert found.confirm_seconds == 0.0031
    assert found.background_cores == pytest.approx(BACKGROUND_CORES)
    assert (found.source, found.runtime, found.measured_at) == ("cal", "local", EPOCH)
    assert not found.is_assumed


def test_what_runs_took_in_their_workers_says_more_than_what_the_first_ones_waited_for() -> None:
    took = 2.0 + OWN_CPU_SECONDS + 0.003
    found = measured(run_seconds={"send_customer_invite_email": took, "run_summary_metrics_task": 1.0})
    assert found.pools["gevent"].overhead_seconds == pytest.approx(0.003, abs=0.0002)
    nothing = measured(run_seconds={"send_customer_invite_email": 1.9})
    assert nothing.pools["gevent"].overhead_seconds == 0.0


def test_a_slot_that_is_empty_before_the_next_task_holds_it_up_too() -> None:
    took = 2.0 + OWN_CPU_SECONDS + 0.003
    found = measured(run_seconds={"send_customer_invite_email": took}, turn_seconds={"io": 0.02})
    assert found.pools["gevent"].overhead_seconds == pytest.approx(0.023, abs=0.0002)


def test_what_a_limit_makes_a_run_wait_is_no_overhead() -> None:
    run = replace(calibration(), runtime="kind")
    limited = replace(
        run, setup={**run.setup, "classes": {"io": {**run.setup["classes"]["io"], "cpu_limit_cores": 0.1}}}
    )
    took = {"send_customer_invite_email": 2.0 + OWN_CPU_SECONDS / 0.1 + 0.003}
    found = derive(
        limited, load_scenario("calibration"), topology(), working_at={}, confirm_seconds=None, run_seconds=took
    )
    assert found.pools["gevent"].overhead_seconds == pytest.approx(0.003, abs=0.002)


def test_how_long_a_slot_is_empty_is_read_from_the_workers_logs(tmp_path: Path) -> None:
    log = tmp_path / "runtime/pods/celery-cpu-worker-a/log"
    log.parent.mkdir(parents=True)
    lines = []
    for second in range(10, 22):
        lines += [
            f"[2026-11-27 13:53:{second},000: INFO/MainProcess] Task send_mail[{second}] received",
            f"[2026-11-27 13:53:{second},970: INFO/ForkPoolWorker-1] Task send_mail[{second}] succeeded in 0.9s: None",
        ]
    log.write_text("\n".join(lines))
    classes = {"cpu": {"deployment": "celery-cpu-worker", "concurrency": 1, "pool": "prefork"}}
    assert turn_seconds(tmp_path, classes, None) == {"cpu": pytest.approx(0.03)}
    assert turn_seconds(tmp_path, {"cpu": {**classes["cpu"], "concurrency": 2}}, None) == {}
    assert turn_seconds(tmp_path, {"cpu": {**classes["cpu"], "pool": "threads"}}, None) == {}


def test_how_long_runs_took_is_read_from_the_workers_logs(tmp_path: Path) -> None:
    for pod, seconds in (("a", (4.1, 4.003, 4.002)), ("b", (4.004, 4.2))):
        log = tmp_path / "runtime/pods" / pod / "log"
        log.parent.mkdir(parents=True)
        log.write_text(
            "".join(
                f"[2026-11-27 13:53:19,734: INFO/MainProcess] Task send_mail[5b] succeeded in {took}s: None\n"
                for took in seconds
            )
            + "[2026-11-27 13:53:19,736: INFO/MainProcess] Task send_mail[5c] received\n"
        )
    assert run_seconds(tmp_path) == {"send_mail": 4.003}


def test_a_class_that_shows_too_little_costs_as_much_more_than_is_stated_as_the_others() -> None:
    found = measured()
    assert found.pools["threads"].cpu_factor == found.pools["gevent"].cpu_factor
    for pool, one in found.pools.items():
        assert one.host_cpu_seconds == pytest.approx(ASSUMED_POOLS[pool].host_cpu_seconds * HOST_FACTOR, rel=0.01)


def test_what_a_worker_uses_with_too_few_tasks_says_nothing() -> None:
    run = calibration()
    idle = tuple((since, until, IDLE_CORES) for since, until, _ in run.timeline.cpu_windows["io"])
    bored = replace(run, timeline=replace(run.timeline, cpu_windows={"io": idle}))
    found = derive(bored, load_scenario("calibration"), topology(), working_at={}, confirm_seconds=0.003)
    assert {"gevent.cpu_factor", "host_factor"} <= set(found.assumed)
    assert (found.pools["gevent"].cpu_factor, found.host_factor) == (1.0, 1.0)


def test_tasks_of_which_nothing_is_stated_for_the_worker_tell_no_factor() -> None:
    scenario = load_scenario("calibration")
    free = replace(scenario, tasks=tuple(replace(task, cpu_seconds=0.0005) for task in scenario.tasks))
    found = derive(calibration(), free, topology(), working_at={}, confirm_seconds=0.003)
    assert "gevent.cpu_factor" in found.assumed
    # Of a mail 0.0008 s were used besides the worker, each 2.2 times, and 0.0005 s are stated, as of an attempt.
    assert found.host_factor == pytest.approx(HOST_FACTOR * (5 + 8) / (5 + 5), rel=0.03)


NEVER_MEASURED = ("gevent.warm_up_cpu_seconds", "gevent.probe_cpu_seconds")


def test_what_the_run_does_not_show_stays_assumed_and_is_named() -> None:
    found = measured(confirm_seconds=None)
    assert found.assumed == ("confirm_seconds", "pod_cores", *NEVER_MEASURED, "prefork", "threads")
    costs = ("cpu_factor", "host_cpu_seconds")  # as much more than is stated as those of the class that shows it
    assert (
        replace(ASSUMED_POOLS["prefork"], **{key: getattr(found.pools["prefork"], key) for key in costs})
        == (found.pools["prefork"])
    )


def test_what_a_worker_does_once_is_no_part_of_a_task_unless_it_had_tasks_before() -> None:
    scenario = load_scenario("calibration")
    before = {**scenario.phases[0].load, "io": 0.01}
    warm = replace(scenario, phases=(replace(scenario.phases[0], load=before), *scenario.phases[1:]))
    found = derive(calibration(), warm, topology(), working_at={}, confirm_seconds=0.003)
    few = calibration().by_phase["io-few"]["completed"]
    cost = found.pools["gevent"].message_cost
    assert cost is not None
    assert cost.few_share == pytest.approx(FEW_OWN_SHARE + WARM_UP_CPU_SECONDS / few / OWN_CPU_SECONDS, rel=0.02)


def test_what_the_rest_of_the_machine_costs_is_measured_once_no_pod_starts_any_more() -> None:
    run, line = calibration(), calibration().timeline
    probed = [
        cores if cores is None or second != 110 else cores + 5.0
        for second, cores in zip(line.seconds, line.machine_cores, strict=True)
    ]
    pod = {"subject": f"{IO.deployment}-d-4", "message": ""}
    started = ({"t": 104.0, "kind": "created", **pod}, {"t": 111.0, "kind": "ready", **pod})
    busy = replace(run, timeline=replace(line, machine_cores=tuple(probed)), events=(*run.events, *started))
    found = derive(busy, load_scenario("calibration"), topology(), working_at={}, confirm_seconds=0.003)
    assert found.host_factor == pytest.approx(HOST_FACTOR, rel=0.01)


def test_what_a_pod_costs_its_machine_is_seen_where_several_were_added() -> None:
    found = derive(calibration(added=2), load_scenario("calibration"), topology(), working_at={}, confirm_seconds=0.003)
    assert found.pod_cores == pytest.approx(POD_CORES)
    assert found.background_cores == pytest.approx(BACKGROUND_CORES)
    assert Figures.from_dict(found.as_dict(), source="mine") == found


def test_a_scenario_that_begins_with_load_tells_nothing_of_the_machine() -> None:
    scenario = load_scenario("calibration")
    named = replace(scenario.phases[0], name="start")
    busy = replace(scenario, phases=(named, *scenario.phases[1:]))
    found = derive(calibration(), busy, topology(), working_at={}, confirm_seconds=0.003)
    assert {"background_cores", "host_factor"} <= set(found.assumed)


def test_too_few_tasks_a_second_tell_nothing_of_the_machine() -> None:
    run, line = calibration(), calibration().timeline
    arrivals, completions = (tuple(min(count, 19) for count in line_) for line_ in (line.arrivals, line.completions))
    few = replace(run, timeline=replace(line, arrivals=arrivals, completions=completions))
    found = derive(few, load_scenario("calibration"), topology(), working_at={}, confirm_seconds=0.003)
    assert "host_factor" in found.assumed


def test_a_cost_of_few_that_was_not_measured_is_named() -> None:
    scenario = load_scenario("calibration")
    named = [replace(one, name=one.name.replace("io-few", "some")) for one in scenario.phases]
    without = replace(scenario, phases=tuple(named))
    found = derive(calibration(), without, topology(), working_at={}, confirm_seconds=0.003)
    assert {"gevent.message_cost.few_share", "host_cost.few_share"} <= set(found.assumed)
    assert found.pools["gevent"].message_cost is not None
    assert not {"gevent.message_cost.few_share", "host_cost.few_share"} & set(measured().assumed)


@pytest.mark.parametrize("event", ["created", "no crowd"])
def test_without_a_crowd_that_nothing_disturbs_a_task_costs_the_same_at_every_rate(event: str) -> None:
    run, scenario = calibration(), load_scenario("calibration")
    if event == "created":
        late = {"t": CROWD_AT + 1.0, "kind": "created", "subject": f"{IO.deployment}-d-4", "message": ""}
        run = replace(run, events=(*run.events, late))
    else:
        named = [replace(one, name=one.name.replace("io-crowd", "many")) for one in scenario.phases]
        scenario = replace(scenario, phases=tuple(named))
    found = derive(run, scenario, topology(), working_at={}, confirm_seconds=0.003)
    assert (found.pools["gevent"].message_cost, found.host_cost) == (None, None)
    assert "host_cost" in found.assumed


def test_a_machine_that_is_not_known_has_what_is_assumed_of_it() -> None:
    run = calibration()
    elsewhere = replace(run, timeline=replace(run.timeline, machine_cores=()))
    found = derive(elsewhere, load_scenario("calibration"), topology(), working_at={}, confirm_seconds=0.003)
    assert found.background_cores is None
    assert {"background_cores", "host_factor"} <= set(found.assumed)
    assert found.host_factor == found.pools["gevent"].cpu_factor


def test_the_shortest_start_counts_as_others_only_lengthen_one() -> None:
    began = {f"{IO.deployment}-b-2": ADDED_AT + 5.5, f"{IO.deployment}-a-1": CREATED_AT + 3.0}
    assert measured(working_at=began).pools["gevent"].start_seconds == 3.0


def on_kind(*, limit_cores: float | None = None) -> Figures:
    """The same run on a kind cluster, whose pods were first seen half a second after they were made, on average."""
    run = calibration()
    classes = {name: {**one, "cpu_limit_cores": limit_cores} for name, one in run.setup["classes"].items()}
    kind = replace(run, runtime="kind", setup={**run.setup, "classes": classes})
    began = {f"{IO.deployment}-b-2": ADDED_AT + 5.5, f"{IO.deployment}-a-1": CREATED_AT + 2.5}
    return derive(kind, load_scenario("calibration"), topology(), working_at=began, confirm_seconds=0.003)


def test_in_a_cluster_a_start_counts_from_half_a_second_before_its_pod_was_seen() -> None:
    io = on_kind().pools["gevent"]
    assert (io.start_seconds, io.ready_seconds) == (5.5 + 0.5, 8.0)


def test_a_start_has_no_more_cpu_time_than_its_pods_limit_allows() -> None:
    assert on_kind().pools["gevent"].start_cpu_seconds == pytest.approx(START_CPU_SECONDS, rel=0.05)
    assert on_kind(limit_cores=0.25).pools["gevent"].start_cpu_seconds == pytest.approx(
        (6.0 - pod_cpu_seconds("kind")) * 0.25
    )


def test_a_class_of_which_no_worker_started_alone_is_named() -> None:
    run = calibration()
    first = [event for event in run.events if not str(event["subject"]).endswith("-b-2")]
    began = {f"{IO.deployment}-a-1": CREATED_AT + 7.5}
    arguments: dict[str, Any] = {"working_at": began, "confirm_seconds": 0.0031}
    found = derive(replace(run, events=first), load_scenario("calibration"), topology(), **arguments)
    assert found.never_alone == ("gevent",)
    assert found.pools["gevent"].start_seconds == 7.5
    assert Figures.from_dict(found.as_dict(), source="mine") == found
    assert measured().never_alone == ()


def test_a_start_that_metrics_came_too_late_for_is_not_taken_for_a_cheap_one() -> None:
    began = {f"{IO.deployment}-b-2": ADDED_AT + 7.5, f"{IO.deployment}-a-1": CREATED_AT + 7.5}
    found = measured(working_at=began)
    assert "gevent.start_cpu_seconds" in found.assumed
    assert found.pools["gevent"].start_cpu_seconds == ASSUMED_POOLS["gevent"].start_cpu_seconds


def test_a_pod_without_a_log_takes_tasks_when_it_is_ready() -> None:
    assert measured(working_at={}).pools["gevent"].start_seconds == 8.0


def test_a_run_that_was_ended_early_measures_nothing() -> None:
    with pytest.raises(InputError, match="did not come to its end"):
        derive(
            replace(calibration(), interrupted=True),
            load_scenario("calibration"),
            topology(),
            working_at={},
            confirm_seconds=None,
        )


def test_a_busy_machine_measures_nothing() -> None:
    with pytest.raises(InputError, match=r"19\.5 s late.*at rest"):
        derive(
            replace(calibration(), publisher_lag_seconds={"p50": 12.7, "max": 19.465}),
            load_scenario("calibration"),
            topology(),
            working_at={},
            confirm_seconds=None,
        )


def test_starts_that_took_so_differently_long_measure_nothing() -> None:
    began = {f"{IO.deployment}-b-2": ADDED_AT + 7.5, f"{IO.deployment}-a-1": CREATED_AT + 2.0}
    with pytest.raises(InputError, match=r"worker of io took 2\.0 s to start, another 7\.5 s.*at rest"):
        measured(working_at=began)


def test_the_first_workers_start_together_and_may_take_longer() -> None:
    began = {f"{IO.deployment}-b-2": ADDED_AT + 2.0, f"{IO.deployment}-a-1": CREATED_AT + 7.5}
    assert measured(working_at=began).pools["gevent"].start_seconds == 2.0


def test_another_scenario_is_no_calibration() -> None:
    with pytest.raises(InputError, match="no phase is named"):
        derive(calibration(), load_scenario("email-campaign"), topology(), working_at={}, confirm_seconds=None)


def test_a_calibration_takes_cpu_targets_from_classes_that_their_queues_scale() -> None:
    targets = {"queueDepth": 8, "cpuUtilization": 70}
    workers = {
        "io": {"targets": targets},
        "cpu": {"targets": {"cpuUtilization": 70}},
        "mixed": {"scaler": "hpa", "targets": targets},
    }
    values = {"workerDefaults": {"scaler": "keda", "targets": {"queueDepth": None}}, "workers": workers}
    staying = {"scaleDown": {"stabilizationWindowSeconds": 3600}}
    assert undisturbed(values) == {"workers": {"io": {"targets": {"cpuUtilization": None}, "behavior": staying}}}


def test_the_scalers_of_a_calibration_have_no_cpu_target_and_let_no_pod_go(tmp_path: Path) -> None:
    usual = render.environment_files("prod,keda")
    overlay = tmp_path / "calibration.yaml"
    overlay.write_text(json.dumps(undisturbed(render.load_values(usual))))

    def seen(files: list[Path]) -> set[tuple[str, bool, int]]:
        return {
            (
                one["metadata"]["name"],
                any(trigger["type"] == "cpu" for trigger in one["spec"]["triggers"]),
                one["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"][
                    "stabilizationWindowSeconds"
                ],
            )
            for one in render.render(files)
            if one["kind"] == "ScaledObject"
        }

    assert {(cpu, stays) for _, cpu, stays in seen([*usual, overlay])} == {(False, 3600)}
    assert all(cpu and stays < 3600 for _, cpu, stays in seen(list(usual)))


def test_a_run_that_kept_no_cpu_use_measures_nothing() -> None:
    run = calibration()
    blind = replace(run, timeline=replace(run.timeline, cpu_windows={}))
    with pytest.raises(InputError, match="kept no CPU use of its workers"):
        derive(blind, load_scenario("calibration"), topology(), working_at={}, confirm_seconds=0.003)


def test_workers_say_in_their_logs_when_they_take_tasks(tmp_path: Path) -> None:
    log = tmp_path / "runtime" / "pods" / "celery-io-worker-b-2" / "log"
    log.parent.mkdir(parents=True)
    log.write_text(
        " -------------- io@celery-io-worker-b-2 v5.7.0\n"
        "[2026-11-26 10:00:01,250: INFO/MainProcess] io@celery-io-worker-b-2 ready.\n"
    )
    (tmp_path / "runtime" / "pods" / "celery-io-worker-c-3").mkdir()
    (tmp_path / "runtime" / "pods" / "celery-io-worker-c-3" / "log").write_text("killed before it came up\n")
    assert working_at(tmp_path, UTC) == {"celery-io-worker-b-2": 1795687201.25}


def test_a_round_trip_is_that_of_first_attempts(tmp_path: Path) -> None:
    journals = tmp_path / "journals"
    journals.mkdir()
    line = {"task": "t", "queue": "io", "phase": "p"}
    events = [
        (1.0, "a", "offered", 1), (1.002, "a", "accepted", 1), (2.0, "b", "offered", 1), (2.004, "b", "accepted", 1),
        (3.0, "c", "offered", 1), (3.001, "c", "refused", 1), (9.0, "c", "accepted", 2),
    ]  # fmt: skip
    text = [json.dumps({"t": t, "id": i, "event": e, "attempt": n, **line}) for t, i, e, n in events]
    (journals / "publisher-0.jsonl").write_text("\n".join(text) + "\n")
    assert confirm_seconds(tmp_path) == pytest.approx(0.003)


def test_figures_are_kept_and_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert calibrations.load(None, runtime="local").is_assumed
    path = calibrations.save(measured(), calibrations.default_path("local"))
    assert path.is_relative_to(tmp_path)
    assert calibrations.load(None, runtime="local") == measured()
    assert calibrations.load(path, runtime="kind") == measured()


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("{", "cannot be read as JSON"),
        ("{}", "no calibration of this version"),
        (json.dumps({"version": FORMAT_VERSION, "pools": {}}), "missing or malformed"),
        (json.dumps({**assumed("local").as_dict(), "pools": {"gevent": {}}}), "pools.gevent"),
        (json.dumps({**assumed("local").as_dict(), "background_cores": -1}), "background_cores is -1"),
        (json.dumps({k: v for k, v in assumed("local").as_dict().items() if k != "background_cores"}), "malformed"),
    ],
)
def test_a_file_that_is_no_calibration_is_named(text: str, wrong: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(text)
    with pytest.raises(InputError, match=wrong) as told:
        calibrations.load(path, runtime="local")
    assert "mine.json" in str(told.value)


def test_a_calibration_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.json"):
        calibrations.load(tmp_path / "none.json", runtime="local")

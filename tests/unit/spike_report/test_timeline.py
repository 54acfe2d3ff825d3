"""Per-second series agree with what was recorded."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.spike import timeline
from harness.spike.ledger import Effect, Offer, OfferEvent, TaskRecord, account
from tests.unit.spike_report.synthetic import EPOCH, Class, burst, simulate


def records(*rows: tuple[float, float | None], queue: str = "io", refused: tuple[float, ...] = ()) -> list[TaskRecord]:
    """Tasks by (first attempt, effect), in seconds from the start."""
    offers, effects = [], []
    for number, (first, done) in enumerate(rows):
        key = f"{queue}-{number}"
        events = [("offered", first), *(("refused", at) for at in refused), ("accepted", first)]
        offers += [Offer(EPOCH + at, key, OfferEvent(event), "send", queue, "burst") for event, at in events]
        effects += [] if done is None else [Effect(EPOCH + done, key, "mail")]
    ledger = account(offers=offers, effects=effects, dead_letters=(), in_queue=(), expected_kinds={"send": "mail"})
    return list(ledger.records)


def sample(t: float, ready: int = 0, *, desired: int = 1, up: int = 1) -> dict:
    return {
        "t": t,
        "queues": {"io": {"ready": ready, "unacked": 7}},
        "replicas": {"celery-io-worker": {"desired": desired, "running": desired, "ready": up}},
        "cpu_cores": {"io": 0.1},
        "memory_bytes": {"io": 60_000_000},
    }


def build(rows: list[TaskRecord], samples: list[dict]) -> timeline.Timeline:
    return timeline.build(records=rows, samples=samples, started_at=EPOCH)


def test_events_fall_into_their_second() -> None:
    line = build(records((0.0, 2.0), (0.999, 2.5), (1.0, None), refused=(1.2, 1.3)), [sample(0.4), sample(3.2)])
    assert line.seconds == (0, 1, 2, 3)
    assert line.arrivals == (2, 1, 0, 0)
    assert line.completions == (0, 0, 2, 0)
    assert line.refusals == {"io": (0, 6, 0, 0)}


def test_a_late_sample_is_held_and_a_silence_is_a_hole() -> None:
    line = build([], [sample(0.1, 5), sample(2.2, 9), sample(8.0, 1)])
    assert line.queues["io"]["ready"] == (5, 5, 9, 9, 9, 9, None, None, 1)


def test_each_window_of_cpu_use_is_kept_once_with_the_time_it_was_measured_over() -> None:
    first, second = ("a", EPOCH - 3.0, EPOCH + 12.0, 0.5), ("b", EPOCH - 1.5, EPOCH + 12.0, 0.1)
    later = ("a", EPOCH + 12.0, EPOCH + 26.0, 0.2)
    seen = [[first], [first, second], [first, second], [later, second]]
    line = build([], [sample(t) | {"cpu_windows": {"io": windows}} for t, windows in enumerate(seen)])
    assert line.cpu_windows == {"io": ((-3.0, 12.0, 0.5), (-1.5, 12.0, 0.1), (12.0, 26.0, 0.2))}


def test_a_young_container_that_is_measured_from_its_start_again_counts_once() -> None:
    seen = [
        ("a", EPOCH, EPOCH + 11.0, 0.5),
        ("a", EPOCH - 0.7, EPOCH + 13.0, 0.6),
        ("a", EPOCH + 12.8, EPOCH + 28.0, 0.1),
    ]
    line = build([], [sample(t) | {"cpu_windows": {"io": [window]}} for t, window in enumerate(seen)])
    assert line.cpu_windows == {"io": ((-0.7, 13.0, 0.6), (12.8, 28.0, 0.1))}


def test_the_latency_of_a_group_is_that_of_its_tasks_alone() -> None:
    sent = records((0.0, 1.5), (0.0, 2.5))
    printed = [replace(row, task="print") for row in records((0.0, 9.5), queue="cpu")]
    rows = [*sent, *printed]
    groups = {"send": "io", "print": "cpu", "never offered": "none"}
    line = timeline.build(records=rows, samples=[], started_at=EPOCH, groups=groups)
    alone = build(sent, [])
    known = len(alone.seconds)
    assert line.latency_seconds["p95 io"][:known] == alone.latency_seconds["p95"]
    assert set(line.latency_seconds["p95 cpu"]) == {None, 9.5}
    assert line.latency_seconds.keys() == {"p50", "p95", "p99", "p95 cpu", "p95 io"}
    assert build(rows, []).latency_seconds.keys() == {"p50", "p95", "p99"}


def test_latency_is_of_the_tasks_done_in_the_window() -> None:
    line = build(records((0.0, 1.5), (0.0, 3.5), (0.0, 14.5)), [])
    assert line.latency_seconds["p50"][:4] == (None, 1.5, 1.5, 1.5)
    assert line.latency_seconds["p99"][3] == 3.5
    assert line.latency_seconds["p50"][12] == 3.5  # the first has left the window of 10 s
    assert line.latency_seconds["p50"][13] is None
    assert line.latency_seconds["p50"][14] == 14.5


def test_the_second_in_which_the_first_added_pod_was_ready() -> None:
    samples = [sample(-1.0), sample(0.0), sample(15.0, desired=4), sample(20.9, desired=4, up=2), sample(22, up=4)]
    assert timeline.first_added_ready(build([], samples)) == {"celery-io-worker": 20}
    assert timeline.first_added_ready(build([], [sample(0.0), sample(1.0)])) == {}
    assert timeline.first_added_ready(build([], [])) == {}


def test_spans_join_over_short_gaps() -> None:
    values = [0, 3, None, 4, 0, 0, 0, 0, 0, 0, 2]
    assert timeline.spans(range(11), values, gap_seconds=5) == [(1, 4), (10, 11)]


def test_how_busy_the_machine_was_is_told_where_it_is_known() -> None:
    line = build([], [{**sample(0.1), "machine_cores": 1.5}, sample(1.2), {**sample(2.2), "machine_cores": 0.4}])
    assert line.machine_cores == (1.5, 1.5, 0.4)
    assert build([], [sample(0.1)]).machine_cores == ()


def test_a_run_without_anything_has_one_second() -> None:
    line = build([], [])
    assert (line.seconds, line.arrivals, line.latency_seconds["p50"]) == ((0,), (0,), (None,))


def test_the_json_form_reads_back() -> None:
    line = build(records((0.0, 2.0), refused=(0.1,)), [sample(0.1)])
    assert timeline.Timeline.from_dict(json.loads(json.dumps(asdict(line)))) == line


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=200), st.sampled_from([50.0, 95.0, 99.0, 100.0]))
def test_percentile_is_numpys_inverted_cdf(values: list[float], percent: float) -> None:
    assert timeline.percentile(values, percent) == np.percentile(values, percent, method="inverted_cdf")


def test_percentile_of_nothing_raises() -> None:
    with pytest.raises(ValueError, match="no values"):
        timeline.percentile([], 50)


def test_a_simulated_run_is_conserved() -> None:
    """Whatever second one looks at: what came in is what went out, what waits and what is in work."""
    one = Class(arrivals=burst(3000), limit_messages=1000)
    run = simulate([one])
    ledger = account(offers=run.offers, effects=run.effects, dead_letters=(), in_queue=(), expected_kinds=run.kinds)
    line = timeline.build(records=ledger.records, samples=run.samples, started_at=EPOCH)
    assert sum(line.arrivals) == ledger.counts.offered == 3000
    assert sum(line.completions) == ledger.counts.completed
    assert sum(line.refusals["io"]) == ledger.counts.refusals > 0
    came, went = np.cumsum(line.accepted), np.cumsum(line.completions)
    for second, (ready, unacked) in enumerate(zip(*line.queues["io"].values(), strict=True)):
        if second and ready is not None:
            assert abs(came[second - 1] - went[second - 1] - ready - unacked) <= 2
    assert max(value for value in line.queues["io"]["ready"] if value is not None) <= 1000

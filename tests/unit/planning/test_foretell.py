"""A trace told as a run."""

from __future__ import annotations

import numpy as np
import pytest

from harness.planning import foretell
from harness.planning.case import Case
from harness.simulation.model import DONE, DROPPED, EXPIRED, FAILED, NEVER, OPEN, REFUSED
from harness.spike.ledger import Death, FinalState, Publication
from harness.spike.result import RunFacts
from tests.unit.planning.cases import case, step, trace

STARTED_AT = 1_790_000_000.0


def ai() -> Case:
    return case("ai-questions")


def test_each_state_is_the_ledgers() -> None:
    asked = ai()
    count = len(asked.offered.load.due_seconds)
    state = np.full(count, DONE, dtype=np.int8)
    state[:6] = [REFUSED, EXPIRED, FAILED, DROPPED, OPEN, OPEN]
    done = np.full(count, 20.0)
    done[:6] = NEVER
    accepted, first = np.zeros(count), np.zeros(count)
    accepted[0] = accepted[5] = NEVER
    found = foretell.ledger(
        asked.plant,
        asked.offered,
        trace(asked.plant, asked.offered.load, done, state=state, accepted=accepted, first_attempt=first),
        started_at=STARTED_AT,
    )
    rows = found.records[:7]
    assert [row.state for row in rows] == [
        FinalState.REFUSED,
        *[FinalState.DEAD_LETTERED] * 3,
        FinalState.IN_FLIGHT,
        FinalState.REFUSED,
        FinalState.COMPLETED,
    ]
    assert [row.death for row in rows[1:4]] == [Death.EXPIRED, Death.FAILED, Death.DROPPED]
    assert rows[5].publication is Publication.REFUSED
    assert rows[6].done_at == STARTED_AT + 20
    assert found.counts.offered == count


def test_a_task_that_was_never_offered_has_no_record() -> None:
    asked = ai()
    first = np.zeros(len(asked.offered.load.due_seconds))
    first[-1] = NEVER
    told = trace(asked.plant, asked.offered.load, first + 20, first_attempt=first)
    assert foretell.ledger(asked.plant, asked.offered, told, started_at=0.0).counts.offered == len(first) - 1


def test_refused_attempts_are_kept_with_their_task() -> None:
    asked = ai()
    count = len(asked.offered.load.due_seconds)
    told = trace(
        asked.plant,
        asked.offered.load,
        np.full(count, 20.0),
        refused_at=np.array([1.0, 2.0, 3.0]),
        refused_task=np.array([7, 3, 7], dtype=np.int64),
    )
    rows = foretell.ledger(asked.plant, asked.offered, told, started_at=100.0).records
    assert (rows[7].refused_at, rows[3].refused_at, rows[0].refused_at) == ((101.0, 103.0), (102.0,), ())


def test_the_result_is_judged_as_a_runs() -> None:
    asked = ai()
    count = len(asked.offered.load.due_seconds)
    told = trace(asked.plant, asked.offered.load, np.full(count, 20.0), steps=(step(asked.plant, "io", 14.5, 1, 3),))
    facts = RunFacts(
        run_id="plan", scenario="ai-questions", runtime="local", started_at=STARTED_AT, duration_seconds=20.0,
        command="harness plan", foretold=True,
    )  # fmt: skip
    found = foretell.foretold(asked.plant, asked.offered, told, facts=facts, objectives=asked.objectives).result
    assert found.passed
    assert found.foretold
    assert found.drain_seconds == 20.0
    assert found.counts.completed == count
    assert [(event["t"], event["before"], event["after"]) for event in found.scale_events] == [(14.5, 1, 3)]
    outcomes = foretell.judged(asked.plant, asked.offered, told, asked.objectives)
    assert [one.measured for one in outcomes] == [one.measured for one in found.outcomes]


def test_cpu_is_shown_as_metrics_show_it() -> None:
    values = np.array([0.0, 3.0, 6.0, 9.0, 12.0])
    assert foretell.trailing_mean(values, 3).tolist() == [0.0, 1.5, 3.0, 6.0, 9.0]
    assert foretell.trailing_mean(values, 1).tolist() == values.tolist()
    assert foretell.trailing_mean(values, 99).tolist() == pytest.approx([0, 1.5, 3, 4.5, 6])
    assert foretell.trailing_mean(np.zeros(0), 3).tolist() == []


def test_utilisation_is_over_all_pods_time() -> None:
    asked = ai()
    count = len(asked.offered.load.due_seconds)
    told = trace(asked.plant, asked.offered.load, np.full(count, 20.0))
    busy = np.full(len(told.seconds), 100.0)
    told = trace(
        asked.plant,
        asked.offered.load,
        np.full(count, 20.0),
        busy_slots={"io": busy},
        replica_seconds={"io": float(len(busy))},
        cpu_cores={"io": np.full(len(busy), 0.05)},
    )
    used = foretell.utilisation(asked.plant, told)["io"]
    assert used["slots_share"] == pytest.approx(0.5)
    assert used["cpu_request_share"] == pytest.approx(0.25)

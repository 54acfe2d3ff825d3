"""The list of a run as arrays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.planning.figures import assumed
from harness.planning.offered import offered, priority_of
from harness.simulation.model import Fixed, Lognormal
from harness.spike import arrivals
from harness.spike.scenario import load_scenario
from tests.unit.planning.cases import case, topology


def test_the_load_is_the_runs_own_list_in_its_order() -> None:
    found = case("mixed-surge").offered
    plan = arrivals.plan(load_scenario("mixed-surge"), topology(), run_id="r")
    assert found.plan == plan
    assert found.load.due_seconds.tolist() == [one.due_seconds for one in plan.arrivals]
    assert [found.load.tasks[index].name for index in found.load.task] == [one.task for one in plan.arrivals]
    assert (np.diff(found.load.due_seconds) >= 0).all()


def test_a_tasks_slot_time_is_the_scenarios_and_its_cpu_is_split_with_the_machine() -> None:
    (task,) = case().offered.load.tasks
    assert isinstance(task.service, Fixed)
    assert task.service.seconds + task.cpu_seconds == pytest.approx(2.0)
    assert task.cpu_seconds + task.host_cpu_seconds == pytest.approx(0.0021)
    assert task.host_cpu_seconds == assumed("local").pools["gevent"].host_cpu_seconds


def test_tasks_and_publishers_cost_what_the_calibration_says_they_do_here() -> None:
    slow = replace(assumed("local"), cpu_factor=2.0)
    (task,), given = case(figures=slow).offered.load.tasks, case()
    assert task.cpu_seconds + task.host_cpu_seconds == pytest.approx(0.0042)
    assert isinstance(task.service, Fixed)
    assert task.service.seconds + task.cpu_seconds == pytest.approx(2.0)
    assert case(figures=slow).plant.publisher.cpu_seconds == 2 * given.plant.publisher.cpu_seconds


def test_a_known_distribution_stands_for_the_one_figure() -> None:
    plan = arrivals.plan(load_scenario("email-campaign"), topology(), run_id="r")
    services = {"forgot_password_mail": Lognormal(3.0, 0.5)}
    (task,) = offered(plan, topology(), figures=assumed("local"), services=services).load.tasks
    assert isinstance(task.service, Lognormal)
    assert task.service.mean_seconds + task.cpu_seconds == pytest.approx(3.0)
    assert task.service.variation == 0.5


def test_priorities_are_the_routes() -> None:
    assert priority_of("forgot_password_mail", topology()) == 8
    assert priority_of("examx.tasks.forgot_password_mail", topology()) == 8
    assert priority_of("somebody_elses_task", topology()) == topology()["default_priority"]

"""The list of a run as arrays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.planning.figures import assumed
from harness.planning.offered import LEAST_CPU_SECONDS, offered, priority_of, shares_of_cpu
from harness.planning.waiting import waits
from harness.simulation.model import Fixed, Lognormal, Task
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


def campaign(**options: Any) -> Task:
    """The campaign's one task, of which no wait is known."""
    plan = arrivals.plan(load_scenario("email-campaign"), topology(), run_id="r")
    (task,) = offered(plan, topology(), **{"figures": assumed("local"), **options}).load.tasks
    return task


def test_a_tasks_slot_time_is_the_scenarios_and_its_cpu_is_split_with_the_machine() -> None:
    task = campaign()
    assert isinstance(task.service, Fixed)
    assert task.service.seconds + task.cpu_seconds == pytest.approx(2.0)
    assert task.cpu_seconds + task.host_cpu_seconds == pytest.approx(0.0021)
    assert task.host_cpu_seconds == assumed("local").pools["gevent"].host_cpu_seconds


def test_a_task_computes_beside_a_wait_that_is_known() -> None:
    (task,) = case().offered.load.tasks
    assert task.service == Fixed(2.0)  # what the scenario's mail service takes
    assert (task.cpu_seconds, task.host_cpu_seconds) == (campaign().cpu_seconds, campaign().host_cpu_seconds)
    assert campaign(waits={"another": 1.0}) == campaign()


def test_the_waits_of_a_scenario_are_its_services() -> None:
    surge = load_scenario("mixed-surge")
    known = waits(surge)
    assert (known["forgot_password_mail"], known["process_paper_task"], known["check_db_connections"]) == (4, 3, 4)
    assert "save_question_index" not in known  # the database is no service of the scenario
    at_chance = replace(surge, services={**surge.services, "storage": {"latency_seconds": 3, "latency_sigma": 0.5}})
    assert {"process_paper_task"} <= known.keys() - waits(at_chance).keys()
    slower = replace(surge, services={**surge.services, "storage": {"latency_seconds": 3.2}})  # than the task may be
    assert "process_paper_task" not in waits(slower)


def test_tasks_and_publishers_cost_what_the_calibration_says_they_do_here() -> None:
    usual = assumed("local")
    gevent = replace(usual.pools["gevent"], cpu_factor=2.0, host_cpu_seconds=0.003)
    slow = replace(usual, pools={**usual.pools, "gevent": gevent}, host_factor=2.5)
    task, given = campaign(figures=slow), case()
    assert (task.cpu_seconds, task.host_cpu_seconds) == pytest.approx((2 * campaign().cpu_seconds, 0.003))
    assert isinstance(task.service, Fixed)
    assert task.service.seconds + task.cpu_seconds == pytest.approx(2.0)
    assert case(figures=slow).plant.publisher.cpu_seconds == 2.5 * given.plant.publisher.cpu_seconds


def test_of_a_task_that_computes_next_to_nothing_the_rest_of_the_machine_has_its_part() -> None:
    gevent = assumed("local").pools["gevent"]
    own, host = shares_of_cpu(gevent.host_cpu_seconds / 4, "gevent", replace(gevent, host_cpu_seconds=0.008))
    assert (own, host) == (LEAST_CPU_SECONDS, 0.002)


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

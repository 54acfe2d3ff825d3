"""Queueing theory: its formulas by known values, and the simulator by the formulas (`make theory` has longer runs)."""

from __future__ import annotations

import pytest

from harness.simulation import theory
from tests.theory import Row, measure, rows, student_t


def test_erlang_by_the_printed_tables() -> None:
    assert theory.erlang_b(5, 3.0) == pytest.approx(0.11005, abs=5e-6)
    assert theory.erlang_b(100, 84.06) == pytest.approx(0.01, abs=1e-4)
    assert theory.erlang_c(5, 4.0) == pytest.approx(0.5541, abs=5e-5)


def test_one_server_is_a_special_case_of_many() -> None:
    assert theory.mmc_wait_seconds(0.8, 1, 1) == pytest.approx(4.0)
    assert theory.mg1_wait_seconds(0.8, 1, 1) == pytest.approx(4.0)
    assert theory.mdc_wait_seconds(0.8, 1, 1) == pytest.approx(theory.mg1_wait_seconds(0.8, 1, 0))
    assert theory.mmck_refused_share(3, 1, 5, 0) == pytest.approx(theory.erlang_b(5, 3.0))


def test_deterministic_service_waits_for_about_half_as_long() -> None:
    # Cosmetatos' approximation is within 2 % of the exact wait.
    servers, rate = 5, 4.5
    exponential = theory.mmc_wait_seconds(rate, 1, servers)
    rho = rate / servers
    correction = 1 + (1 - rho) * (servers - 1) * ((4 + 5 * servers) ** 0.5 - 2) / (16 * servers * rho)
    assert theory.mdc_wait_seconds(rate, 1, servers) == pytest.approx(exponential / 2 * correction, rel=0.02)


def test_a_queue_that_grows_without_end_is_said() -> None:
    for function in (theory.mmc_wait_seconds, theory.mdc_wait_seconds):
        with pytest.raises(ValueError, match="grows without end"):
            function(2.0, 1.0, 2)


def test_students_t_by_its_table() -> None:
    assert student_t(0.99, 15) == pytest.approx(2.947, abs=2e-3)
    assert student_t(0.99, 29) == pytest.approx(2.756, abs=1e-3)


@pytest.mark.xdist_group("compiled-simulation")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("row", list(rows()), ids=lambda row: row.model)
def test_the_simulator_agrees_with_theory(row: Row) -> None:
    result = measure(row, runs=20, tasks=row.tasks // 5, seed=2)
    assert result.within, f"{result.row.predicted} is outside {result.mean} +- {result.margin}"

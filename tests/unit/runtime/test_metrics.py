"""Usage from cumulative samples, and what is left when the harness dies."""

from __future__ import annotations

import pytest

from harness.runtime.local.metrics import Consumption, Meter, parse_rollup, parse_stat
from harness.runtime.local.watchdog import remaining


def test_usage_is_the_difference_over_the_window() -> None:
    meter = Meter(started_at=0.0)
    meter.sample(5.0, Consumption(2.0, 100))
    assert meter.usage is None
    meter.sample(20.0, Consumption(5.0, 300))
    assert meter.usage is not None
    assert meter.usage.cpu_cores == pytest.approx(3.0 / 15.0)
    assert (meter.usage.at, meter.usage.window_seconds, meter.usage.memory_bytes) == (20.0, 15.0, 300)


def test_a_container_of_ten_seconds_counts_from_its_start() -> None:
    meter = Meter(started_at=100.0)
    meter.sample(112.0, Consumption(6.0, 1))
    assert meter.usage is not None
    assert meter.usage.cpu_cores == pytest.approx(0.5)
    assert meter.usage.window_seconds == pytest.approx(12.0)


def test_cpu_never_counts_backwards() -> None:
    meter = Meter(started_at=0.0)
    meter.sample(15.0, Consumption(10.0, 1))
    meter.sample(30.0, Consumption(4.0, 1))
    assert meter.usage is not None
    assert meter.usage.cpu_cores == 0.0


def test_the_process_table_is_read_past_a_name_with_spaces_and_brackets() -> None:
    fields = "S 1 77 77 0 -1 4194304 0 0 0 0 150 50 30 20 20 0 1 0 999 1000000 250 0"
    assert parse_stat(f"77 (a (b) c) {fields}") == (77, 250, 250)


def test_the_watchdog_kills_what_was_announced_and_not_withdrawn() -> None:
    assert remaining(["+10\n", "+11\n", "-10\n", "rubbish\n", "+x\n", "-99\n"]) == {11}


def test_shared_pages_are_divided_among_those_who_share_them() -> None:
    rollup = "5581-7ffc ---p 00000000 00:00 0 [rollup]\nRss:    51000 kB\nPss:    46708 kB\nPss_Anon:  45352 kB\n"
    assert parse_rollup(rollup) == 46708 * 1024
    assert parse_rollup("") is None

"""Series as text."""

from __future__ import annotations

from harness.planning import plot


def test_an_area_fills_up_to_each_value() -> None:
    assert plot.area([0, 4, 8], top=8, height=1) == [" ▄█"]
    assert plot.area([0, 8, 16], top=16, height=2) == ["  █", " ██"]


def test_a_long_series_keeps_its_peaks() -> None:
    values = [0.0] * 1000
    values[501] = 9.0
    assert max(plot.resampled(values, 72)) == 9.0
    assert len(plot.resampled(values, 72)) == 72


def test_nothing_at_all_is_an_empty_area() -> None:
    assert plot.area([0, 0], height=1) == ["  "]
    assert plot.area([], height=1) == [""]


def test_the_scale_stands_beside_it() -> None:
    lines = plot.labelled(["▄█", "██"], top=5000, seconds=41.2)
    assert lines[0] == "5,000 │▄█"
    assert lines[1] == "    0 │██"
    assert lines[-1].endswith("42 s")

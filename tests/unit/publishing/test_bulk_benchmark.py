"""The verdict of benchmarks/bulk.py."""

from __future__ import annotations

from benchmarks.bulk import LIMIT_RATIO, Round, judge, words


def test_the_median_ratio_decides() -> None:
    verdict = judge([Round(100, 390, 800), Round(100, 900, 950), Round(100, 600, 420)], tasks=10, window=5)
    assert verdict.median_ratio == 4.2
    assert verdict.passed
    assert "PASS: median 4.2 times" in words(verdict)


def test_below_the_limit_it_fails() -> None:
    verdict = judge([Round(100, 100 * LIMIT_RATIO - 1, 900)], tasks=10, window=5)
    assert not verdict.passed
    assert "FAIL" in words(verdict)

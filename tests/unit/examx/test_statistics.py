"""Statistics, against cases worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from examx import statistics
from examx.standins import documents as storage


def test_summary_of_a_case_worked_by_hand():
    # Totals 2, 1, 1, 0: mean 1, variance 2/3. Items: each mean 1/2, variance 1/3. Alpha = 2 * (1 - (2/3)/(2/3)) = 0.
    scores = np.array([[1, 1], [1, 0], [0, 1], [0, 0]], dtype=np.float64)
    found = statistics.summary(scores, resamples=0, seed=1)
    assert found["mean"] == 1
    assert found["deviation"] == pytest.approx(math.sqrt(2 / 3))
    assert found["difficulty"] == [0.5, 0.5]
    assert found["alpha"] == pytest.approx(0)
    assert (found["mean_low"], found["mean_high"]) == (1, 1)


def test_items_that_agree_are_perfectly_reliable():
    scores = np.repeat(np.array([[0.0], [0.5], [1.0]]), 4, axis=1)
    assert statistics.summary(scores, resamples=0, seed=1)["alpha"] == pytest.approx(1)


def test_interval_holds_the_mean_and_depends_on_the_seed_only():
    scores = statistics.load_scores(storage.scores(students=200, questions=20))
    assert scores.shape == (200, 20)
    first, again = (statistics.summary(scores, resamples=300, seed=5) for _ in range(2))
    assert first == again
    error = first["deviation"] / math.sqrt(200)
    assert first["mean_low"] == pytest.approx(first["mean"] - 1.96 * error, abs=0.4 * error)
    assert first["mean_high"] == pytest.approx(first["mean"] + 1.96 * error, abs=0.4 * error)

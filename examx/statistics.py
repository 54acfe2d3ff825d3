"""Statistics of an examination. Pure: an array in, numbers out."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def load_scores(content: bytes) -> NDArray[np.float64]:
    """The array of scores (students x questions, each 0 to 1) in a .npy file."""
    import numpy as np

    return np.asarray(np.load(io.BytesIO(content), allow_pickle=False), dtype=np.float64)


def summary(scores: NDArray[np.float64], *, resamples: int, seed: int) -> dict[str, float | list[float]]:
    """Mean, spread and percentiles of the totals, difficulty of each question, reliability, and the mean's interval.

    Reliability is Cronbach's alpha, k/(k-1) * (1 - sum of item variances / variance of totals). The 95 % interval of
    the mean comes from `resamples` bootstrap samples, which is where the CPU goes.
    """
    import numpy as np

    totals = scores.sum(axis=1)
    count = scores.shape[1]
    variance = float(totals.var(ddof=1))
    alpha = count / (count - 1) * (1 - float(scores.var(axis=0, ddof=1).sum()) / variance)
    random = np.random.default_rng(seed)
    means = [float(totals[random.integers(0, len(totals), len(totals))].mean()) for _ in range(resamples)]
    low, high = np.percentile(means, [2.5, 97.5]) if means else (totals.mean(), totals.mean())
    return {
        "mean": float(totals.mean()),
        "deviation": variance**0.5,
        "percentiles": [float(value) for value in np.percentile(totals, [5, 25, 50, 75, 95])],
        "difficulty": [float(value) for value in scores.mean(axis=0)],
        "alpha": alpha,
        "mean_low": float(low),
        "mean_high": float(high),
    }

"""Drawing how long tasks take."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from harness.simulation.model import Exponential, Fixed, Load, Lognormal, Service


def draw(service: Service, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw `count` times in seconds."""
    if isinstance(service, Fixed):
        return np.full(count, service.seconds)
    if isinstance(service, Lognormal):
        # With variance s2 of the logarithm the coefficient of variation is sqrt(exp(s2) - 1), the mean exp(m + s2 / 2).
        spread = math.log1p(service.variation**2)
        return rng.lognormal(math.log(service.mean_seconds) - spread / 2, math.sqrt(spread), count)
    if isinstance(service, Exponential):
        return rng.exponential(service.mean_seconds, count)
    return rng.choice(np.asarray(service.seconds, dtype=np.float64), count)


def draw_all(load: Load, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw each offered task's time. A task that runs again takes as long again: its time is its own."""
    if len(load.tasks) == 1:
        return draw(load.tasks[0].service, len(load.task), rng)
    seconds = np.empty(len(load.task))
    for index, task in enumerate(load.tasks):
        chosen = load.task == index
        seconds[chosen] = draw(task.service, int(chosen.sum()), rng)
    return seconds

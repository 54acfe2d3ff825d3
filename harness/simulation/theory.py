"""What queueing theory says of plants that it can solve, for comparison.

`arrival_rate` is tasks a second, `service_seconds` the mean time a task holds its server. All raise ValueError where
the queue would grow without end.

Sources: L. Kleinrock, Queueing Systems I (1975), for Erlang B and C, M/M/c/K, M/G/1 (Pollaczek-Khinchine) and processor
sharing; C. D. Crommelin, Delay probability formulae, POEEJ 26 (1934) and H. C. Tijms, A First Course in Stochastic
Models (2003), 9.6, for M/D/c.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

TAIL = 1e-13
"""Where the number of tasks in an M/D/c system is cut: more than that has less than about this probability."""


def erlang_b(servers: int, offered_load: float) -> float:
    """Return the share of arrivals that find all servers busy where nobody waits (M/G/c/c); load in erlangs."""
    blocked = 1.0
    for server in range(1, servers + 1):
        blocked = offered_load * blocked / (server + offered_load * blocked)
    return blocked


def erlang_c(servers: int, offered_load: float) -> float:
    """Return the share of arrivals that must wait in M/M/c; load in erlangs."""
    _stable(offered_load / servers)
    blocked = erlang_b(servers, offered_load)
    return servers * blocked / (servers - offered_load * (1 - blocked))


def mmc_wait_seconds(arrival_rate: float, service_seconds: float, servers: int) -> float:
    """Return the mean wait in M/M/c."""
    load = arrival_rate * service_seconds
    return erlang_c(servers, load) * service_seconds / (servers - load)


def mmck_refused_share(arrival_rate: float, service_seconds: float, servers: int, room: int) -> float:
    """Return the share of arrivals that find servers and waiting room full in M/M/c/(c + room)."""
    load = arrival_rate * service_seconds
    # Chances relative to that of all servers being busy and nobody waiting, so that nothing overflows.
    below = sum(math.exp(_log_ratio(load, number, servers)) for number in range(servers))
    waiting = [(load / servers) ** number for number in range(room + 1)]
    return waiting[-1] / (below + sum(waiting))


def _log_ratio(load: float, number: int, servers: int) -> float:
    return (number - servers) * math.log(load) + math.lgamma(servers + 1) - math.lgamma(number + 1)


def mg1_wait_seconds(arrival_rate: float, service_seconds: float, variation: float) -> float:
    """Return the mean wait in M/G/1; `variation` is the service time's standard deviation over its mean."""
    load = arrival_rate * service_seconds
    _stable(load)
    return load * service_seconds * (1 + variation**2) / (2 * (1 - load))


def processor_sharing_stay_seconds(arrival_rate: float, service_seconds: float) -> float:
    """Return the mean time in the system in M/G/1 with processor sharing; it depends on the mean service time only."""
    load = arrival_rate * service_seconds
    _stable(load)
    return service_seconds / (1 - load)


def mdc_wait_seconds(arrival_rate: float, service_seconds: float, servers: int) -> float:
    """Return the mean wait in M/D/c, exactly but for a cut tail.

    After one service time everybody who was in service is gone, and who has come meanwhile is still there:
    N(t + D) = max(N(t) - c, 0) + A(D). The stationary law of N solves a linear system; its mean queue gives the wait by
    Little's law.
    """
    load = arrival_rate * service_seconds
    _stable(load / servers)
    states = _states(load, servers)
    law = _stationary(_poisson(load, states), servers, states)
    queue = float(np.dot(law, np.maximum(np.arange(states) - servers, 0)))
    return queue / arrival_rate


def _states(load: float, servers: int) -> int:
    """Return how many states to keep: the tail falls at least as fast as M/M/c's, by load / servers a state."""
    return servers + math.ceil(max(math.log(TAIL) / math.log(load / servers), load + 12 * math.sqrt(load) + 30))


def _poisson(mean: float, states: int) -> NDArray[np.floating]:
    numbers = np.arange(states, dtype=np.float64)
    logs = np.array([math.lgamma(number + 1.0) for number in numbers])
    return np.exp(numbers * math.log(mean) - mean - logs)


def _stationary(arrivals: NDArray[np.floating], servers: int, states: int) -> NDArray[np.floating]:
    steps = np.zeros((states, states))
    for number in range(states):
        left = max(number - servers, 0)
        steps[number, left:] = arrivals[: states - left]
    steps[:, -1] += 1 - steps.sum(axis=1)  # what would leave the cut comes back at its edge
    system = steps.T - np.eye(states)
    system[-1] = 1.0
    right = np.zeros(states)
    right[-1] = 1.0
    return np.linalg.solve(system, right)


def _stable(utilisation: float) -> None:
    if utilisation >= 1:
        raise ValueError(f"{utilisation:.0%} of the servers' time is asked for: the queue grows without end")

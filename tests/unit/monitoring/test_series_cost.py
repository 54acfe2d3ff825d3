"""Series at a size that nobody ran."""

from __future__ import annotations

from harness.monitoring.local_series import Snapshot, exposition
from harness.monitoring.series_cost import SeriesCost, by_name, cost_of
from tests.unit.monitoring.test_local_series import CONTAINER, SCALE

TEXT = """\
# TYPE up gauge
up 1
# TYPE tasks counter
tasks_total{task="a",outcome="x"} 1
tasks_total{task="a",outcome="y"} 1
tasks_total{task="b",outcome="x"} 1
# TYPE memory gauge
memory{pod="p"} 1
memory{pod="q"} 1
"""


def test_series_grow_with_pods_and_tasks_alone() -> None:
    cost = cost_of(TEXT)
    assert cost == SeriesCost(fixed=1, per_pod=1, per_task=2)
    assert cost.at(pods=100, tasks=25) == 1 + 100 + 50
    assert by_name(TEXT) == {"tasks_total": 3, "memory": 2, "up": 1}
    assert cost_of("") == SeriesCost(0, 0, 0)


def test_costs_add_up() -> None:
    assert SeriesCost(1, 2, 3) + SeriesCost(10, 20, 30) == SeriesCost(11, 22, 33)


def test_a_pod_of_a_local_release() -> None:
    text = exposition(Snapshot([SCALE], {SCALE.deployment: "h"}, [CONTAINER])).decode()
    cost = cost_of(text)
    assert cost.per_pod == len([line for line in text.splitlines() if f'pod="{CONTAINER.pod}"' in line])
    assert cost.fixed == 6  # two of the Deployment, four of its autoscaler

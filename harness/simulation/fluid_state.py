"""What the coarse model carries from step to step, and its empty form."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from harness.simulation.fluid_tables import DEPTHS, FLOW, PODS, Curves, Records, Tables

MAX_COHORTS = 64
"""Groups of pods of one class that may be starting at a time: one a sync, so a start may take 16 minutes."""
MAX_REMEMBERED = 256
"""Syncs within the longest stabilisation window (an hour), and rescales within the longest period."""

LANE_STATE = np.dtype(
    [
        ("unoffered", "f8"),  # due, first attempt not made
        ("held", "f8"),  # refused, kept by the publisher
        ("waiting", "f8"),  # in the queue
        ("busy", "f8"),  # in slots
    ]
)
POOL_STATE = np.dtype(
    [
        ("desired", "i8"),
        ("mature", "i8"),  # pods that are there and ready
        ("cohorts", "i8"),  # how many COHORTs are used
        ("serving", "f8"),  # pods at work in this step; a part of one that begins within it
        ("cpu_sum", "f8"),  # cores used, added up over the steps since the last sync
        ("cpu_seen", "f8"),  # mean of the last whole sync interval
        ("cpu_steps", "i8"),
        ("proposals", "i8"),  # how many are remembered
        ("last_active", "i8"),  # step
    ]
)
COHORT = np.dtype([("at", "f8"), ("pods", "i8")])  # [class, cohort]: seconds of creation


class State(NamedTuple):
    """All that changes from step to step. What the controller's arithmetic takes are plain arrays."""

    lanes: Records
    ending: Records  # [lane, step modulo its length]: starts that end then
    pools: Records
    cohorts: Records
    proposed: Records  # [class, entry]
    proposed_at: Records
    events: Records  # [class, direction]: how many of the next two are used
    event_change: Records  # [class, direction, entry]
    event_at: Records


def start(tables: Tables) -> State:
    """Return the state before the first step."""
    n_lanes, n_classes = len(tables.lanes), len(tables.pools)
    pools = np.zeros(n_classes, POOL_STATE)
    pools["desired"] = pools["mature"] = tables.pools["replicas"]
    return State(
        lanes=np.zeros(n_lanes, LANE_STATE),
        ending=np.zeros((n_lanes, int(tables.taps["at"].max()) + 1)),
        pools=pools,
        cohorts=np.zeros((n_classes, MAX_COHORTS), COHORT),
        proposed=np.zeros((n_classes, MAX_REMEMBERED), np.int64),
        proposed_at=np.zeros((n_classes, MAX_REMEMBERED), np.int64),
        events=np.zeros((n_classes, 2), np.int64),
        event_change=np.zeros((n_classes, 2, MAX_REMEMBERED), np.int64),
        event_at=np.zeros((n_classes, 2, MAX_REMEMBERED), np.int64),
    )


def room(tables: Tables) -> Curves:
    """Return curves of zeros."""
    steps = int(tables.grid[0]["steps"])
    return Curves(
        lanes=np.zeros((steps + 1, len(tables.lanes)), FLOW),
        queues=np.zeros((steps, len(tables.queues)), DEPTHS),
        pools=np.zeros((steps, len(tables.pools)), PODS),
    )

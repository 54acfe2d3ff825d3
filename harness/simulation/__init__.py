"""Foretelling a run: the queues, the workers and their autoscalers in virtual time. Pure and deterministic by seed.

plant = Plant(classes=(...), queues=(...), publisher=..., nodes=..., ...)    # what there is
load = Load(due_seconds=..., task=..., tasks=(...))                         # what is offered, and when
trace = simulate(plant, load, rng=numpy.random.default_rng(1), limit_seconds=600)
"""

from harness.simulation.driver import simulate
from harness.simulation.model import (
    DONE,
    DROPPED,
    EXPIRED,
    FAILED,
    NEVER,
    OPEN,
    REFUSED,
    Clockwork,
    CostByRate,
    Empirical,
    Exponential,
    Fixed,
    Load,
    Lognormal,
    Nodes,
    Plant,
    Publisher,
    Queue,
    Scaler,
    Service,
    Step,
    Task,
    Trace,
    WorkerClass,
)

__all__ = [
    "DONE",
    "DROPPED",
    "EXPIRED",
    "FAILED",
    "NEVER",
    "OPEN",
    "REFUSED",
    "Clockwork",
    "CostByRate",
    "Empirical",
    "Exponential",
    "Fixed",
    "Load",
    "Lognormal",
    "Nodes",
    "Plant",
    "Publisher",
    "Queue",
    "Scaler",
    "Service",
    "Step",
    "Task",
    "Trace",
    "WorkerClass",
    "simulate",
]

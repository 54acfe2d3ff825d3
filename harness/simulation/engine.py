"""Driving the flow: the kernel's functions, plain or compiled, and the arrays, which grow as they are filled."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from harness import compiling
from harness.simulation.kernel import state
from harness.simulation.kernel.state import Flow

KERNEL = "harness.simulation.kernel"
MODULES = ("events", "cpu", "broker", "publisher", "workers", "watch", "flow", "plain")
"""Each after those it uses."""
ENTRIES = ("advance", "first_attempts", "serve_equal_stays", "serve_stays", "count_by_second")
"""What is called from outside."""
FIRST_PODS = 8
INITIAL_AGE_SECONDS = 3600.0
"""How old pods are that are there at the start: old enough to count as settled."""


def kernel(*, compiled: bool) -> Mapping[str, ModuleType]:
    """Return the kernel's modules by their short names."""
    names = tuple(f"{KERNEL}.{name}" for name in MODULES)
    found = modules(names, entries=ENTRIES, compiled=compiled)
    return {short: found[name] for short, name in zip(MODULES, names, strict=True)}


def modules(names: tuple[str, ...], *, entries: tuple[str, ...], compiled: bool) -> Mapping[str, ModuleType]:
    """Return modules as they stand, or compiled; `entries` are those of their functions that are called from here."""
    if compiled:
        return compiling.compiled(names, entries=entries)
    return {name: importlib.import_module(name) for name in names}


class Engine:
    """The arrays and what moves them."""

    def __init__(self, flow: Flow, *, rng: np.random.Generator, compiled: bool) -> None:
        self.flow = flow
        self._rng = rng
        self._kernel = kernel(compiled=compiled)
        self._plain = kernel(compiled=False)
        self._slots = int(flow.run[0]["max_slots"])
        for w in range(len(flow.publishers)):
            self._plain["publisher"].plan(flow, w)
        self._plain["watch"].plan(flow)

    @property
    def now(self) -> float:
        """The time everything has come to."""
        return float(self.flow.run[0]["now"])

    def advance(self, until: float) -> int:
        """Let everything happen up to a time; return REACHED, SETTLED (no task is open) or POD_GONE."""
        while True:
            reason = int(self._kernel["flow"].advance(self.flow, float(until)))
            if reason in (state.REACHED, state.SETTLED, state.POD_GONE):
                return reason
            self._make_room(reason)

    def _make_room(self, reason: int) -> None:
        flow = self.flow
        if reason == state.WANTS_UNIFORMS:
            self.flow = flow._replace(uniforms=self._rng.random(len(flow.uniforms)))
            flow.run[0]["uniform"] = 0
        elif reason == state.WANTS_EVENTS:
            self.flow = flow._replace(events=_longer(flow.events, 2 * len(flow.events)))
        elif reason == state.WANTS_REFUSALS:
            self.flow = flow._replace(refusals=_longer(flow.refusals, 2 * len(flow.refusals)))
        else:
            rows = 2 * len(flow.host_samples)
            self.flow = flow._replace(
                queue_samples=_longer(flow.queue_samples, rows),
                class_samples=_longer(flow.class_samples, rows),
                host_samples=_longer(flow.host_samples, rows),
            )

    # --- pods ------------------------------------------------------------------------------------------------------

    def new_pod(self, c: int, *, created: float) -> int:
        """Return the row of a new pod that waits for room."""
        row = self._free_row()
        run = self.flow.run[0]
        run["pods"] = max(run["pods"], row + 1)
        self._plain["workers"].open_pod(self.flow, row, c, created, row * (self._slots + 1))
        return row

    def _free_row(self) -> int:
        free = np.flatnonzero(self.flow.pods["phase"] == state.GONE)
        if len(free):
            return int(free[0])
        rows = max(2 * len(self.flow.pods), FIRST_PODS)
        self.flow = self.flow._replace(
            pods=_longer(self.flow.pods, rows), cpu_items=_longer(self.flow.cpu_items, rows * (self._slots + 1))
        )
        return rows // 2 if rows > FIRST_PODS else 0

    def settled_pod(self, row: int) -> None:
        """Make a new pod one that has been there for long: ready, measured, taking tasks."""
        pod, run = self.flow.pods[row], self.flow.run[0]
        pod["phase"], pod["ready"], pod["settled"] = state.RUNNING, 1, 0.0
        each = self.flow.classes[pod["worker_class"]]
        pod["scraped_at"] = pod["metric_at"] = run["metrics_at"] - run["metrics_seconds"]
        pod["taken_at"] = np.nan  # what is shown is the newest
        pod["metric_window"] = run["metrics_seconds"]
        pod["metric_cores"], pod["metric_memory"] = each["idle_cores"], each["memory"]
        self._plain["broker"].line_up(self.flow, row)

    def begin(self, row: int, *, wait: float) -> None:
        """Start a pod's worker now; it needs the CPU after `wait` seconds."""
        self._have_room_for_an_event()
        self._plain["workers"].begin(self.flow, row, wait, self.now)

    def stop(self, row: int) -> None:
        """Tell a pod to go."""
        self._have_room_for_an_event()
        self._plain["workers"].stop(self.flow, row, self.now)

    def _have_room_for_an_event(self) -> None:
        if self.flow.run[0]["events"] == len(self.flow.events):
            self._make_room(state.WANTS_EVENTS)


def _longer(array: NDArray[np.generic], rows: int) -> NDArray[np.generic]:
    longer = np.zeros((rows, *array.shape[1:]), array.dtype)
    longer[: len(array)] = array
    return longer

"""The cheapest settings that meet every objective: searched with the coarse model, verified task by task.

Classes share nothing but the publisher's pace, so each is searched alone, over a grid of its settings, and asked to
meet every objective on its own tasks, which is enough for all together. The cheapest of each class are then simulated
together, with several seeds. Where that misses, the class that is worst off takes its next candidate; then one figure
at a time changes; then all classes keep more pods warm. Where it is met, cheaper candidates and then each changed
figure by itself are tried back, and what rejects them is the reason that is written beside the figure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.planning.candidates import Asked, Candidate, ClassSearch, search_class, tunable
from harness.planning.case import Case, Simulate
from harness.planning.settings import Setting
from harness.planning.verifying import Check, Verified
from harness.simulation.cost import Pod
from harness.simulation.fluid_model import Model

MAX_VERIFICATIONS = 16
"""Combinations that are simulated in search of one that meets everything."""
MAX_STEPS = 60
"""Single changes that are simulated where the coarse model's own order led to nothing."""
MAX_CHEAPER = 3
"""Cheaper candidates of a class that are simulated once one is found."""
STRONGER = 0.95
"""A candidate is tried after another that missed when the coarse model gives it at most this share of its time."""


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why a figure is what it is: what happened with another one."""

    worker_class: str
    figure: str
    tried: Setting
    verified: Verified


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """What a search found. `choice` is None where nothing within the bounds meets the objectives."""

    searches: tuple[ClassSearch, ...]
    choice: Mapping[str, Candidate] | None
    reasons: tuple[Reason, ...]
    verified: tuple[Verified, ...]
    coarse_runs: int

    @property
    def cost(self) -> float:
        """Money a month of the choice."""
        return math.fsum(one.cost for one in (self.choice or {}).values())


def tune(cases: Mapping[str, Case], *, model: Model, simulate: Simulate, asked: Asked) -> Tuned:
    """Search; `cases` are the scenarios by name, all on the same values. Raises InputError where nothing is scaled."""
    first = next(iter(cases.values()))
    searches = tuple(search_class(cases, worker, model, asked) for worker in tunable(first.plant))
    runs = sum(len(search.candidates) for search in searches)
    if not all(search.feasible for search in searches):
        return Tuned(searches=searches, choice=None, reasons=(), verified=(), coarse_runs=runs)
    check = Check(cases, simulate, asked.seeds)
    choice = _first_that_holds(searches, check, asked.room)
    if choice is None:
        return Tuned(searches=searches, choice=None, reasons=(), verified=tuple(check.done), coarse_runs=runs)
    reasons: list[Reason] = []
    choice = _cheaper(searches, choice, check, reasons)
    choice = _fewer_changes(searches, choice, check, reasons)
    return Tuned(searches=searches, choice=choice, reasons=tuple(reasons), verified=tuple(check.done), coarse_runs=runs)


def latency_percent(cases: Mapping[str, Case]) -> float:
    """Return which percentile the objectives speak of: the strictest share of tasks in time, else 95 %."""
    shares = [
        100.0 * one.parameters["min_share"]
        for case in cases.values()
        for one in case.objectives
        if one.name == "completed_within"
    ]
    return max(shares, default=95.0)


def _first_that_holds(searches: Sequence[ClassSearch], check: Check, room: Pod | None) -> dict[str, Candidate] | None:
    """Begin with each class's cheapest; each miss moves the class that is worst off to a stronger candidate."""
    left = {search.name: list(search.feasible) for search in searches}
    best: tuple[dict[str, Candidate], Verified] | None = None
    for _ in range(MAX_VERIFICATIONS):
        choice = {name: candidates[0] for name, candidates in left.items()}
        if room is not None and not fits(searches, choice, room):
            break
        found = check(_settings(choice))
        if found.met:
            return choice
        if best is None or found.strain < best[1].strain:
            best = (choice, found)
        blamed = left[found.blamed]
        wanted = STRONGER * blamed[0].latency_seconds
        stronger = [one for one in blamed[1:] if one.latency_seconds <= wanted]
        if not stronger:
            break
        left[found.blamed] = stronger
    if best is None:
        return None
    return _climb(searches, *best, check, room) or _warm(searches, check, room)


def _climb(
    searches: Sequence[ClassSearch], choice: dict[str, Candidate], found: Verified, check: Check, room: Pod | None
) -> dict[str, Candidate] | None:
    """Change one figure at a time for as long as that brings the simulation nearer to the limit.

    For what the coarse model leaves out: above all pods that take each other's cores while they start, which warm pods
    do not.
    """
    tried, improved = 0, True
    while improved:
        improved = False
        for name, neighbour in _moves(searches, choice, found.blamed):
            other = {**choice, name: neighbour}
            if room is not None and not fits(searches, other, room):
                continue
            tried += 1
            if tried > MAX_STEPS:
                return None
            after = check(_settings(other))
            if after.met:
                return other
            if after.strain < found.strain:
                choice, found, improved = other, after, True
                break
    return None


def _warm(searches: Sequence[ClassSearch], check: Check, room: Pod | None) -> dict[str, Candidate] | None:
    """Keep one more pod of every class warm at a time.

    For many pods that start together: where each class waits for the others' starts, no single change brings it nearer.
    """
    for minimum in sorted({one.setting.minimum for search in searches for one in search.feasible}):
        choice = {search.name: _warmest(search, minimum) for search in searches}
        if (room is None or fits(searches, choice, room)) and check(_settings(choice)).met:
            return choice
    return None


def _warmest(search: ClassSearch, most: int) -> Candidate:
    """Return the fastest of the candidates with the most pods at rest, up to so many."""
    within = [one for one in search.feasible if one.setting.minimum <= most] or search.feasible
    return min(within, key=lambda one: (-one.setting.minimum, one.latency_seconds, one.cost))


def _moves(
    searches: Sequence[ClassSearch], choice: Mapping[str, Candidate], blamed: str
) -> Iterator[tuple[str, Candidate]]:
    """Yield what may be changed next, first of the class that is worst off."""
    for search in sorted(searches, key=lambda each: each.name != blamed):
        for neighbour in _neighbours(search, choice[search.name]):
            yield search.name, neighbour


def _neighbours(search: ClassSearch, one: Candidate) -> list[Candidate]:
    """Return the candidates that differ in one figure, a minimum by one, a maximum by at most two.

    The next dearer ones stand first. Those that are the same to the coarse model, in cost and in time, are left out.
    """
    near = [
        other
        for other in search.candidates
        if len(other.setting.changes(one.setting)) == 1
        and abs(other.setting.minimum - one.setting.minimum) <= 1
        and abs(other.setting.maximum - one.setting.maximum) <= 2
        and (other.cost, other.latency_seconds) != (one.cost, one.latency_seconds)
    ]
    return sorted(near, key=lambda other: other.cost < one.cost)


def _settings(choice: Mapping[str, Candidate]) -> dict[str, Setting]:
    return {name: one.setting for name, one in choice.items()}


def fits(searches: Sequence[ClassSearch], choice: Mapping[str, Candidate], room: Pod) -> bool:
    """Return whether all pods, at their maxima, request no more than there is."""
    cores = math.fsum(search.pod.cores * choice[search.name].setting.maximum for search in searches)
    memory = math.fsum(search.pod.memory_gib * choice[search.name].setting.maximum for search in searches)
    return cores <= room.cores and memory <= room.memory_gib


def _cheaper(
    searches: Sequence[ClassSearch], choice: dict[str, Candidate], check: Check, reasons: list[Reason]
) -> dict[str, Candidate]:
    """Try what the coarse model thought too weak: for each class the dearest below its choice, which is the nearest."""
    for search in searches:
        for _ in range(MAX_CHEAPER):
            now = choice[search.name]
            below = [one for one in search.candidates if one.cost < now.cost - 1e-6]
            if not below:
                break
            best = min(below, key=lambda one: (one.worst.strain, *one.order))
            tried = {**choice, search.name: best}
            found = check(_settings(tried))
            if not found.met:
                reasons.append(Reason(worker_class=search.name, figure="cheaper", tried=best.setting, verified=found))
                break
            choice = tried
    return choice


def _fewer_changes(
    searches: Sequence[ClassSearch], choice: dict[str, Candidate], check: Check, reasons: list[Reason]
) -> dict[str, Candidate]:
    """Put each changed figure back by itself: what still holds and costs no more stays as it was given."""
    for search in searches:
        known = {one.setting: one for one in search.candidates}
        for figure in choice[search.name].changes:
            now = choice[search.name]
            back = now.setting.reverted(figure, search.given)
            other = known.get(back)
            if back == now.setting:
                continue
            settings = _settings(choice) | {search.name: back}
            found = check(settings)
            if found.met and other is not None and other.cost <= now.cost + 1e-6:
                choice = {**choice, search.name: other}
            else:
                reasons.append(Reason(worker_class=search.name, figure=figure, tried=back, verified=found))
    return choice

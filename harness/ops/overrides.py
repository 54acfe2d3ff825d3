"""What the on-call person has overridden, and what undoing it may put back. Pure; also runs in the release's image.

A *thing* is one setting somewhere, named by its kind and its owner, such as "floor/ScaledObject/celery-io-worker". Its
*setting* is a JSON value; None means that nothing is set. An *override* changes one thing or several and remembers what
was there. Of two overrides of one thing the later one remembers the original, and the earlier one is replaced.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Setting = Any
Outcome = Literal["restored", "kept", "already", "changed", "expired"]

VERSION = 1


@dataclass(frozen=True)
class Change:
    """One thing an override has changed."""

    thing: str
    before: Setting
    after: Setting


@dataclass(frozen=True)
class Override:
    """One override in force. Times are seconds since the epoch; `until` None means until it is undone by hand."""

    id: str
    command: str
    changes: tuple[Change, ...]  # the first one is what the command is about
    by: str
    at: float
    until: float | None

    @property
    def thing(self) -> str:
        """What the command is about."""
        return self.changes[0].thing

    def change_of(self, thing: str) -> Change | None:
        """Return what it did to a thing, None where it has not touched it."""
        return next((change for change in self.changes if change.thing == thing), None)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Override:
        """Read what `as_dict` has written."""
        changes = tuple(Change(**change) for change in document["changes"])
        return cls(**{**document, "changes": changes})


@dataclass(frozen=True)
class Placement:
    """An override about to be made; those of `replaced` end with it."""

    override: Override
    replaced: tuple[Override, ...]

    def applied(self, active: Iterable[Override]) -> list[Override]:
        """Return what is in force afterwards."""
        gone = {one.id for one in self.replaced}
        return [*(one for one in active if one.id not in gone), self.override]


@dataclass(frozen=True)
class Step:
    """What undoing does to one thing: only `restored` writes, and writes `setting`.

    kept: another override holds it. already: it is as it was before. changed: somebody has set it to something else
    since, which stays. expired: it ends by itself.
    """

    thing: str
    outcome: Outcome
    setting: Setting
    found: Setting

    def sentence(self) -> str:
        """Say it in words."""
        words = {
            "restored": f"set back to {shown(self.setting)}",
            "kept": "left: another override holds it",
            "already": f"is {shown(self.found)} already",
            "changed": f"left: somebody has set it to {shown(self.found)} since; before the override it was "
            f"{shown(self.setting)}",
            "expired": "ends by itself",
        }
        return f"{self.thing}: {words[self.outcome]}"


def place(
    active: Sequence[Override],
    *,
    override_id: str,
    command: str,
    wanted: Mapping[str, Setting],
    current: Mapping[str, Setting],
    by: str,
    at: float,
    until: float | None,
) -> Placement:
    """Return the override that sets the things of `wanted`, the first of which the command is about.

    What it remembers as before is `current`, or where an override in force has set that, what this one remembers.
    """
    changes = [Change(thing, _original(active, thing, current[thing]), after) for thing, after in wanted.items()]
    replaced = tuple(one for one in active if one.thing == changes[0].thing)
    # What a replaced override has changed besides must not be forgotten.
    changes += [change for one in replaced for change in one.changes if change.thing not in wanted]
    return Placement(Override(override_id, command, tuple(changes), by, at, until), replaced)


def _original(active: Sequence[Override], thing: str, current: Setting) -> Setting:
    for one in reversed(active):
        change = one.change_of(thing)
        if change is not None and change.after == current:
            return change.before
    return current


def undo(active: Iterable[Override], override: Override, current: Mapping[str, Setting]) -> list[Step]:
    """Return what undoing an override does to each of its things, last changed first."""
    others = {change.thing for one in active if one.id != override.id for change in one.changes}
    return [_step(change, current[change.thing], held=change.thing in others) for change in reversed(override.changes)]


def _step(change: Change, found: Setting, *, held: bool) -> Step:
    outcome: Outcome = "changed"
    if held:
        outcome = "kept"
    elif found == change.before:
        outcome = "already"
    elif found == change.after:
        outcome = "restored"
    return Step(change.thing, outcome, change.before, found)


def due(active: Iterable[Override], *, now: float) -> list[Override]:
    """Return the overrides whose time is over, the first to end first."""
    ended = [one for one in active if one.until is not None and one.until <= now]
    return sorted(ended, key=lambda one: one.until or 0.0)


def read(document: Mapping[str, Any] | None) -> list[Override]:
    """Return the overrides of a stored document, none where there is none. Raises ValueError for another version."""
    if not document:
        return []
    if document.get("version") != VERSION:
        raise ValueError(f"the stored overrides have version {document.get('version')}, this program reads {VERSION}")
    return [Override.from_dict(one) for one in document["overrides"]]


def written(active: Iterable[Override]) -> dict[str, Any]:
    """Return the document that `read` reads."""
    return {"version": VERSION, "overrides": [one.as_dict() for one in active]}


def shown(setting: Setting) -> str:
    """Return a setting as a person reads it."""
    if setting is None:
        return "not set"
    if isinstance(setting, Mapping):
        return ", ".join(f"{key} {shown(value)}" for key, value in setting.items())
    return {True: "on", False: "off"}.get(setting, str(setting)) if isinstance(setting, bool) else str(setting)

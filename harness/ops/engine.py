"""Making and undoing overrides, on whatever keeps a release's objects. Also runs in the release's image.

The ConfigMap <release>-ops is the one place where overrides are kept; every change of it names the version it was made
from, so that two commands at once do not forget each other's.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from harness.errors import HarnessError
from harness.ops import objects, overrides
from harness.ops.overrides import Override, Setting, Step

ATTEMPTS = 8
PAUSE_SECONDS = 0.05
AUDIT_LINES = 200  # a ConfigMap holds 1 MiB


class ConflictError(HarnessError):
    """Somebody else has changed the object since it was read."""


class Documents(Protocol):
    """Where a release's objects are: an API server, or a local run."""

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return an object, None where there is none. Raises HarnessError."""

    def patch(self, kind: str, name: str, change: Mapping[str, Any]) -> dict[str, Any]:
        """Apply a merge patch. Raises ConflictError where it names another version, and HarnessError."""

    def create(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Make an object. Raises ConflictError where there is one of that name, and HarnessError."""


class Handler(Protocol):
    """Reads and sets the things of some kinds."""

    def read(self, thing: str) -> Setting:
        """Return a thing's setting, None where nothing is set. Raises HarnessError."""

    def write(self, thing: str, setting: Setting, *, until: float | None, mark: str | None) -> None:
        """Give a thing a setting; None takes it off. Raises HarnessError."""


@dataclass(frozen=True)
class ObjectHandler:
    """The things inside Kubernetes objects."""

    documents: Documents
    release: str

    def read(self, thing: str) -> Setting:
        """Return the setting as the object has it now. Raises HarnessError where there is no such object."""
        return objects.read(thing, self._document(thing))

    def write(self, thing: str, setting: Setting, *, until: float | None, mark: str | None) -> None:
        """Patch the object."""
        kind, name = self._address(thing)

        def once() -> None:
            change = objects.patch(thing, self._document(thing), setting, mark=mark)
            self.documents.patch(kind, name, change)

        again_on_conflict(once)

    def _address(self, thing: str) -> tuple[str, str]:
        kind, owner = objects.parts_of(thing)
        if kind == objects.PAUSED:
            return objects.CONFIG_MAP, objects.state_name(self.release)
        object_kind, _, name = owner.partition("/")
        return object_kind, name

    def _document(self, thing: str) -> dict[str, Any]:
        kind, name = self._address(thing)
        found = self.documents.get(kind, name)
        if found is None and kind == objects.CONFIG_MAP:
            return ensure_state(self.documents, self.release)
        if found is None:
            raise HarnessError(f"there is no {kind} {name} any more")
        return found


@dataclass
class Engine:
    """The overrides of one release.

    `handlers` maps the kinds of things this place can reach; `by` goes to the audit log.
    """

    documents: Documents
    release: str
    handlers: Mapping[str, Handler]
    by: str
    clock: Callable[[], float] = time.time
    new_id: Callable[[], str] = field(default=lambda: secrets.token_hex(3))

    def active(self) -> list[Override]:
        """Return the overrides in force; one that ends by itself is gone at its end. Raises HarnessError."""
        document = self.documents.get(objects.CONFIG_MAP, objects.state_name(self.release))
        return [one for one in stored(document) if not self._ended_by_itself(one)]

    def audit(self) -> list[dict[str, Any]]:
        """Return the audit log's newest lines, oldest first. Raises HarnessError."""
        return audit_lines(self.documents.get(objects.CONFIG_MAP, objects.state_name(self.release)))

    def preview(self, command: str, wanted: Mapping[str, Setting], *, until: float | None) -> overrides.Placement:
        """Return the override `place` would make now; nothing is changed. Raises HarnessError."""
        current = {thing: self._handler(thing).read(thing) for thing in wanted}
        return self._placement(self.active(), command, wanted, current, until)

    def place(self, command: str, wanted: Mapping[str, Setting], *, until: float | None) -> Override:
        """Make an override. It is stored before anything changes, so that whatever fails, it can be undone."""
        current = {thing: self._handler(thing).read(thing) for thing in wanted}
        placed: list[Override] = []

        def store(active: list[Override]) -> list[Override]:
            kept = [one for one in active if not self._ended_by_itself(one)]
            placement = self._placement(kept, command, wanted, current, until)
            placed[:] = [placement.override]
            return placement.applied(kept)

        self._change(store, lambda: self._line("set", placed[0]))
        override = placed[0]
        try:
            for change in override.changes:
                if change.thing in wanted:
                    handler = self._handler(change.thing)
                    handler.write(change.thing, change.after, until=until, mark=_mark(override))
        except HarnessError as error:
            raise type(error)(
                f"{error}\nWhat was done so far is taken back by: harness ops undo {override.id}"
            ) from error
        return override

    def preview_undo(self, override: Override) -> list[Step]:
        """Return what undoing would do. Raises HarnessError."""
        current = {change.thing: self._handler(change.thing).read(change.thing) for change in override.changes}
        return overrides.undo(self.active(), override, current)

    def undo(self, override: Override, *, action: str = "undo") -> list[Step]:
        """Put back what an override has changed, where nobody has changed it since. Raises HarnessError."""
        steps = self.preview_undo(override)
        for step in steps:
            if step.outcome == "restored":
                self._handler(step.thing).write(step.thing, step.setting, until=None, mark=None)
        self._forget(override, action, steps)
        return steps

    def expire(self) -> list[tuple[Override, list[Step]]]:
        """Undo the overrides whose time is over; what ends by itself is only taken off the list.

        Raises HarnessError.
        """
        ended = []
        document = self.documents.get(objects.CONFIG_MAP, objects.state_name(self.release))
        for override in overrides.due(stored(document), now=self.clock()):
            if self._ended_by_itself(override):
                steps = [Step(change.thing, "expired", change.before, None) for change in override.changes]
                self._forget(override, "expired", steps)
            elif all(objects.parts_of(change.thing)[0] in self.handlers for change in override.changes):
                steps = self.undo(override, action="expired")
            else:
                continue
            ended.append((override, steps))
        return ended

    def note(self, action: str, command: str, outcome: str) -> None:
        """Write a line of the audit log for what is no override. Raises HarnessError."""
        line = {"action": action, "id": "", "command": command, "outcome": outcome}
        self._change(lambda active: active, lambda: line)

    def _placement(
        self,
        active: list[Override],
        command: str,
        wanted: Mapping[str, Setting],
        current: Mapping[str, Setting],
        until: float | None,
    ) -> overrides.Placement:
        return overrides.place(
            active,
            override_id=self.new_id(),
            command=command,
            wanted=wanted,
            current=current,
            by=self.by,
            at=self.clock(),
            until=until,
        )

    def _handler(self, thing: str) -> Handler:
        kind, _ = objects.parts_of(thing)
        if kind not in self.handlers:
            raise HarnessError(f"{thing} cannot be reached from here")
        return self.handlers[kind]

    def _ended_by_itself(self, override: Override) -> bool:
        over = override.until is not None and override.until <= self.clock()
        return over and all(ends_by_itself(change.thing) for change in override.changes)

    def _forget(self, override: Override, action: str, steps: Iterable[Step]) -> None:
        line = {**self._line(action, override), "outcome": "; ".join(step.sentence() for step in steps)}
        self._change(lambda active: [one for one in active if one.id != override.id], lambda: line)

    def _line(self, action: str, override: Override) -> dict[str, Any]:
        changes = {change.thing: change.after for change in override.changes}
        return {
            "action": action, "id": override.id, "command": override.command, "until": override.until, "set": changes,
        }  # fmt: skip

    def _change(
        self, change: Callable[[list[Override]], list[Override]], line: Callable[[], Mapping[str, Any]]
    ) -> None:
        name = objects.state_name(self.release)

        def once() -> None:
            document = ensure_state(self.documents, self.release)
            active = change(stored(document))
            lines = [*audit_lines(document), {"at": round(self.clock(), 3), "by": self.by, **line()}]
            data = {
                objects.OVERRIDES_FILE: json.dumps(overrides.written(active)),
                objects.AUDIT_FILE: "".join(f"{json.dumps(one)}\n" for one in lines[-AUDIT_LINES:]),
            }
            version = {"resourceVersion": document["metadata"]["resourceVersion"]}
            self.documents.patch(objects.CONFIG_MAP, name, {"metadata": version, "data": data})

        again_on_conflict(once)


# Kept in Redis with an expiry of their own.
ENDS_BY_ITSELF = ("rate", "breaker")


def ends_by_itself(thing: str) -> bool:
    """Whether a thing that was set with an end is gone then, whoever is there."""
    return objects.parts_of(thing)[0] in ENDS_BY_ITSELF


def ensure_state(documents: Documents, release: str) -> dict[str, Any]:
    """Return the ConfigMap with a release's overrides, made where there is none. Raises HarnessError."""
    name = objects.state_name(release)
    found = documents.get(objects.CONFIG_MAP, name)
    if found is not None:
        return found
    labels = {"app.kubernetes.io/instance": release, "app.kubernetes.io/component": "ops"}
    metadata = {"name": name, "labels": labels}
    try:
        return documents.create({"apiVersion": "v1", "kind": objects.CONFIG_MAP, "metadata": metadata, "data": {}})
    except ConflictError:
        return documents.get(objects.CONFIG_MAP, name) or {}


def stored(document: Mapping[str, Any] | None) -> list[Override]:
    """Return the overrides a ConfigMap holds, those that are over too. Raises HarnessError for another version's."""
    text = ((document or {}).get("data") or {}).get(objects.OVERRIDES_FILE)
    try:
        return overrides.read(json.loads(text) if text else None)
    except ValueError as error:
        raise HarnessError(str(error)) from error


def audit_lines(document: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return the audit log a ConfigMap holds, oldest line first."""
    text = ((document or {}).get("data") or {}).get(objects.AUDIT_FILE) or ""
    return [json.loads(line) for line in text.splitlines()]


def again_on_conflict(attempt: Callable[[], None]) -> None:
    """Try until nobody else was faster, a few times at most. Raises the last ConflictError."""
    for number in range(ATTEMPTS):
        try:
            attempt()
            return
        except ConflictError:
            if number == ATTEMPTS - 1:
                raise
            time.sleep(PAUSE_SECONDS * (number + 1))


def _mark(override: Override) -> str:
    end = "" if override.until is None else time.strftime(" until %Y-%m-%dT%H:%M:%SZ", time.gmtime(override.until))
    return f"{override.id}: {override.command}{end}"

"""What an autoscaler decides on observations of a file or of a local run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from harness.autoscaling import ControllerConfig, Decision, HpaSpec
from harness.autoscaling.replay import Replay, at_syncs
from harness.errors import InputError
from harness.hpa import autoscalers, lines
from harness.runtime.local.journal import AUTOSCALERS, SYNCS

RUNTIME = "runtime"  # below a report's directory


@dataclass(frozen=True)
class Decided:
    """One decision; `t` as it was written, `recorded` is what was decided then, where the observation says so."""

    t: Any
    deployment: str
    decision: Decision
    recorded: int | None = None


@dataclass
class _Life:
    """One Deployment's autoscaler through a run: what is still to come, and its replay once it has begun."""

    changes: list[tuple[float, bool, HpaSpec]] = field(default_factory=list)
    replay: Replay | None = None

    def advance(self, t: float) -> Replay | None:
        """Return the replay as it is at `t`."""
        while self.changes and self.changes[0][0] <= t:
            _, fresh, spec = self.changes.pop(0)
            self.replay = self.replay or Replay(spec)
            self.replay.spec = spec
            if fresh:
                self.replay.forget()
        return self.replay


def replay_file(spec: HpaSpec, path: Path, *, sync_seconds: float | None) -> Iterator[Decided]:
    """Yield a decision for each observation of a file, as it is read; those of other Deployments are passed over.

    With `sync_seconds` only for those that a controller of this period would have seen. Raises InputError naming file,
    line and key, and for a file without observations.
    """
    others: set[str] = set()
    mine = (one for one in lines.read(path) if _is_of(spec.target_name, one[1], others))
    seen = mine if sync_seconds is None else at_syncs(mine, period_seconds=sync_seconds)
    replay, empty = Replay(spec), True
    for where, document in seen:
        empty = False
        yield _decided(replay, where, document)
    if empty:
        whose = f" of Deployment {spec.target_name}, only of {', '.join(sorted(others))}" if others else ""
        raise InputError(f"{path}: no observations{whose}")


def replay_run(directory: Path, *, name: str | None, flags: Mapping[str, Any]) -> Iterator[Decided]:
    """Yield the decisions of a local run's autoscalers again, on what they saw; `name` is a Deployment's.

    `flags` are the controller's that are to differ from the run's. Raises InputError naming file, line and key, and for
    a run that recorded none: one without autoscalers, or in a cluster.
    """
    home = directory if (directory / SYNCS).is_file() else directory / RUNTIME
    if not (home / AUTOSCALERS).is_file():
        raise InputError(
            f"{directory}: no {RUNTIME}/{AUTOSCALERS}: only local runs record what their autoscalers saw; "
            "in a cluster it is recorded with `harness hpa record`"
        )
    lives = _lives(home / AUTOSCALERS, flags)
    if name is not None and name not in lives:
        raise InputError(f"{directory}: no autoscaler of Deployment {name}; there are those of: {', '.join(lives)}")
    kept = (one for one in lines.read(home / SYNCS) if name is None or _deployment(one[1]) == name)
    for where, document in kept:
        life = lives.get(_deployment(document))
        replay = life.advance(_time(document, where)) if life else None
        if replay is None:
            raise InputError(f"{where}: no line of {AUTOSCALERS} says by which autoscaler; was the file changed?")
        yield _decided(replay, where, document)


def _lives(path: Path, flags: Mapping[str, Any]) -> dict[str, _Life]:
    lives: dict[str, _Life] = {}
    known = {one.name for one in fields(ControllerConfig)}
    for where, line in lines.read(path):
        try:
            given = {key: value for key, value in line["controller"].items() if key in known}
            spec = autoscalers.spec_of(line["manifest"], replace(ControllerConfig(**given), **flags))
            change = (_time(line, where), bool(line.get("fresh")), spec)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise InputError(f"{where}: {error}") from error
        lives.setdefault(_deployment(line), _Life()).changes.append(change)
    return lives


def _decided(replay: Replay, where: str, document: Any) -> Decided:
    try:
        _, decision = replay.sync(document, path=where)
    except ValueError as error:
        raise InputError(str(error)) from error
    recorded = document.get("desired")
    return Decided(document["t"], _deployment(document), decision, recorded if isinstance(recorded, int) else None)


def _is_of(deployment: str, document: Any, others: set[str]) -> bool:
    """Tell whether an observation is of a Deployment; one that does not say is. Other names are added to `others`."""
    found = _deployment(document)
    if found in ("", deployment):
        return True
    others.add(found)
    return False


def _deployment(document: Any) -> str:
    return str(document.get("deployment", "")) if isinstance(document, Mapping) else ""


def _time(document: Any, where: str) -> float:
    t = document.get("t") if isinstance(document, Mapping) else None
    if isinstance(t, bool) or not isinstance(t, int | float):
        raise InputError(f"{where}: t is {t!r}, must be a number of seconds")
    return float(t)

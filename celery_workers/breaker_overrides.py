"""What a person sees of the breakers, and changes for a while. An override holds for every process at its next call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from celery_workers.breaker_store import State
from celery_workers.shared import SharedRedis

Mode = Literal["open", "closed"]
MODES: tuple[Mode, ...] = ("open", "closed")

_READ = """
local time = redis.call('TIME')
local at = time[1] * 1000 + math.floor(time[2] / 1000)
local state = redis.call('HMGET', KEYS[1], 'failures', 'open_until', 'probe_until', 'opened', 'threshold')
local override = redis.call('HMGET', KEYS[2], 'mode', 'threshold')
for i = 1, 5 do state[i] = state[i] or '' end
for i = 1, 2 do override[i] = override[i] or '' end
return {tostring(at), state, override, redis.call('PTTL', KEYS[2])}
"""


@dataclass(frozen=True, kw_only=True)
class Override:
    """What a person set: the breaker stays open or closed, or opens at another count. None: as the program says.

    `left_seconds` is how long it still holds, None for until it is cleared.
    """

    mode: Mode | None = None
    threshold: int | None = None
    left_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class BreakerStatus:
    """Where one breaker stands, its override counted in.

    `state` half-open: the next caller, or one at this moment, tries whether the dependency is back. `opened` counts the
    openings. `threshold` is the one in force, None where no failure and no override has told Redis yet.
    """

    name: str
    state: State
    failures: int
    opened: int
    threshold: int | None
    retry_after_seconds: float
    override: Override | None


def read_breaker(shared: SharedRedis, name: str) -> BreakerStatus:
    """Where a breaker stands; one nobody has used is closed. Raises Away."""
    keys = [shared.key("breaker", name), shared.key("breaker-override", name)]
    at, state, fields, left_ms = shared.run(_READ, keys, ())
    failures, open_until, probe_until, opened, threshold = (int(value or 0) for value in state)
    override = _override(fields, left_ms)
    found, wait_ms = _found(int(at), open_until, probe_until)
    if override is not None and override.mode is not None:
        found, wait_ms = override.mode, max(left_ms, 0) if override.mode == "open" else 0
    return BreakerStatus(
        name=name,
        state=found,
        failures=failures,
        opened=opened,
        threshold=(override.threshold if override else None) or threshold or None,
        retry_after_seconds=wait_ms / 1000,
        override=override,
    )


def _found(at: int, open_until: int, probe_until: int) -> tuple[State, int]:
    if not open_until:
        return "closed", 0
    if at < open_until:
        return "open", open_until - at
    return "half-open", max(probe_until - at, 0)


def _override(fields: list[bytes], left_ms: int) -> Override | None:
    mode, threshold = (value.decode() for value in fields)
    if not mode and not threshold:
        return None
    return Override(
        mode=next((known for known in MODES if known == mode), None),
        threshold=int(threshold) if threshold else None,
        left_seconds=left_ms / 1000 if left_ms >= 0 else None,
    )


def list_breakers(shared: SharedRedis) -> list[BreakerStatus]:
    """Every breaker a process has used with this Redis and prefix, by name. Raises Away."""
    names: Any = shared.ask(lambda client: client.smembers(shared.key("breakers")))
    return [read_breaker(shared, name) for name in sorted(name.decode() for name in names)]


def set_override(
    shared: SharedRedis,
    name: str,
    *,
    mode: Mode | None = None,
    threshold: int | None = None,
    for_seconds: float | None = None,
) -> None:
    """Override a breaker, in place of any override it has, for `for_seconds` or until it is cleared.

    A breaker that is kept open or closed counts nothing meanwhile. Raises ValueError for an override that says nothing
    or cannot be, Away when Redis did not take it.
    """
    if mode is None and threshold is None:
        raise ValueError("an override needs a mode (open or closed) or a threshold")
    if mode is not None and mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
    if threshold is not None and threshold < 1:
        raise ValueError(f"threshold must be at least 1, not {threshold}")
    if for_seconds is not None and for_seconds <= 0:
        raise ValueError(f"for_seconds must be above 0, not {for_seconds:g}")
    fields = {"mode": mode, "threshold": threshold}
    key = shared.key("breaker-override", name)
    with_value = {field: str(value) for field, value in fields.items() if value is not None}

    def write(client: Any) -> None:
        with client.pipeline(transaction=True) as together:
            together.delete(key)
            together.hset(key, mapping=with_value)
            if for_seconds is not None:
                together.pexpire(key, max(round(for_seconds * 1000), 1))
            together.sadd(shared.key("breakers"), name)
            together.execute()

    shared.ask(write)


def clear_override(shared: SharedRedis, name: str) -> bool:
    """Let a breaker go by its program again; whether there was an override. Raises Away."""
    return bool(shared.ask(lambda client: client.delete(shared.key("breaker-override", name))))

"""A breaker's state in Redis. Each step is one script, so that it is one step for all processes.

Times are Redis' own, so that processes whose clocks differ agree. Keys: `<prefix>:breaker:<name>` (the state),
`<prefix>:breaker-override:<name>` (what a person wants for now, see celery_workers.breaker_overrides) and the set
`<prefix>:breakers` of names seen.

The state has `failures` in a row; `open_until` from the opening on, also after it has passed; `probe` and `probe_until`
while one caller tries; `opened`, how often it opened; `threshold`, the one of the last failure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from celery_workers.shared import SharedRedis

State = Literal["closed", "open", "half-open"]
Outcome = Literal["success", "failure", "release"]

KEEP_MS = 24 * 3600 * 1000  # a breaker nobody uses for a day is forgotten

_NOW = """
local function now()
  if ARGV[1] ~= '' then return tonumber(ARGV[1]) end
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
"""

_ADMIT = (
    _NOW
    + """
local at, reset, lease, token = now(), tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
redis.call('SADD', KEYS[3], ARGV[2])
local mode = redis.call('HGET', KEYS[2], 'mode')
if mode == 'closed' then return {'closed', 0, 0, 0} end
if mode == 'open' then
  local left = redis.call('PTTL', KEYS[2])
  if left < 0 or left > reset then left = reset end
  return {'open', left, 0, 0}
end
local state = redis.call('HMGET', KEYS[1], 'failures', 'open_until', 'probe', 'probe_until')
local failures, open_until = tonumber(state[1] or '0'), tonumber(state[2] or '0')
if not state[2] then return {'closed', 0, failures, 0} end
if at < open_until then return {'open', open_until - at, failures, 0} end
if state[3] and state[3] ~= token and at < tonumber(state[4]) then
  return {'half-open', tonumber(state[4]) - at, failures, 0}
end
redis.call('HSET', KEYS[1], 'probe', token, 'probe_until', at + lease)
redis.call('PEXPIRE', KEYS[1], tonumber(ARGV[6]))
return {'half-open', 0, failures, 1}
"""
)

_RECORD = (
    _NOW
    + """
local at, outcome, reset, token = now(), ARGV[2], tonumber(ARGV[4]), ARGV[5]
local mode = redis.call('HGET', KEYS[2], 'mode')
if mode == 'open' then return {'open', reset, 0, 0} end
if mode then return {'closed', 0, 0, 0} end
local state = redis.call('HMGET', KEYS[1], 'failures', 'open_until', 'probe', 'probe_until')
local failures, open_until = tonumber(state[1] or '0'), tonumber(state[2] or '0')
local own = token ~= '' and state[3] == token
local function open()
  redis.call('HDEL', KEYS[1], 'probe', 'probe_until')
  redis.call('HSET', KEYS[1], 'open_until', at + reset)
  redis.call('HINCRBY', KEYS[1], 'opened', 1)
  return {'open', reset, failures, 1}
end
if state[2] then
  if own and outcome == 'success' then
    redis.call('HDEL', KEYS[1], 'failures', 'open_until', 'probe', 'probe_until')
    return {'closed', 0, 0, 1}
  end
  if own and outcome == 'failure' then
    redis.call('PEXPIRE', KEYS[1], tonumber(ARGV[6]))
    return open()
  end
  if own then redis.call('HDEL', KEYS[1], 'probe', 'probe_until') end
  if at < open_until then return {'open', open_until - at, failures, 0} end
  return {'half-open', 0, failures, 0}
end
if outcome == 'release' then return {'closed', 0, failures, 0} end
if outcome == 'success' then
  redis.call('HDEL', KEYS[1], 'failures')
  return {'closed', 0, 0, 0}
end
local threshold = tonumber(redis.call('HGET', KEYS[2], 'threshold') or ARGV[3])
failures = redis.call('HINCRBY', KEYS[1], 'failures', 1)
redis.call('HSET', KEYS[1], 'threshold', threshold)
redis.call('PEXPIRE', KEYS[1], tonumber(ARGV[6]))
if failures >= threshold then return open() end
return {'closed', 0, failures, 0}
"""
)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What Redis said. `probe`: this caller, and nobody else, may try. `changed`: this step opened or closed it."""

    state: State
    wait_seconds: float
    failures: int
    probe: bool = False
    changed: bool = False


class BreakerStore:
    """The steps of one breaker. `now_ms` stands in for Redis' clock, in tests."""

    def __init__(
        self,
        shared: SharedRedis,
        name: str,
        *,
        reset_seconds: float,
        probe_seconds: float,
        now_ms: Callable[[], int] | None = None,
    ) -> None:
        self._shared = shared
        self._name = name
        self._reset_ms = round(reset_seconds * 1000)
        self._probe_ms = round(probe_seconds * 1000)
        self._keep_ms = max(KEEP_MS, 10 * (self._reset_ms + self._probe_ms))
        self._now_ms = now_ms
        self._keys = [shared.key("breaker", name), shared.key("breaker-override", name), shared.key("breakers")]

    def admit(self, token: str) -> Answer:
        """Ask whether a call may be made; where one may try, it is the holder of `token`. Raises Away."""
        arguments = (self._now(), self._name, self._reset_ms, self._probe_ms, token, self._keep_ms)
        state, wait_ms, failures, probe = self._shared.run(_ADMIT, self._keys, arguments)
        return Answer(state=state.decode(), wait_seconds=wait_ms / 1000, failures=failures, probe=bool(probe))

    def record(self, outcome: Outcome, *, threshold: int, token: str = "") -> Answer:
        """Say how a call ended; `token` is that of a caller who was let try. Raises Away."""
        arguments = (self._now(), outcome, threshold, self._reset_ms, token, self._keep_ms)
        state, wait_ms, failures, changed = self._shared.run(_RECORD, self._keys, arguments)
        return Answer(state=state.decode(), wait_seconds=wait_ms / 1000, failures=failures, changed=bool(changed))

    def _now(self) -> str | int:
        return "" if self._now_ms is None else self._now_ms()

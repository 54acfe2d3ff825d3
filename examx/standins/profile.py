"""How the stand-ins behave: latency, errors, refusals. Pure; the draws come from seed, service, task id and attempt.

So a run's latencies do not depend on the order in which requests happen to arrive, and a task that was refused draws
anew when it comes again.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field, fields
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

SERVICES = ("smtp", "ai", "judge0", "php", "storage", "wait")
MAX_LATENCY_SECONDS = 3600.0

Outcome = Literal["ok", "error", "too_many_requests"]
_NORMAL = NormalDist()
_DRAW_BYTES = 8


class ProfileError(ValueError):
    """The profile is not usable; the message names the key and the fix."""


@dataclass(frozen=True, kw_only=True)
class ServiceProfile:
    """One service. Latency is `latency_seconds`, or lognormal with that median where `latency_sigma` is above 0."""

    latency_seconds: float = 0.0
    latency_sigma: float = 0.0
    error_ratio: float = 0.0
    too_many_requests_ratio: float = 0.0
    retry_after_seconds: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Reaction:
    """What one request meets; a refusal for too many requests comes at once, everything else after the latency."""

    outcome: Outcome
    delay_seconds: float


@dataclass(frozen=True, kw_only=True)
class Profile:
    """All services, and the seed of every draw."""

    seed: int = 1
    services: Mapping[str, ServiceProfile] = field(
        default_factory=lambda: {name: ServiceProfile() for name in SERVICES}
    )

    def react(self, *, service: str, task_id: str, attempt: int) -> Reaction:
        """The reaction to request number `attempt` (from 1) for a task id."""
        rules = self.services[service]
        luck, slowness = _draws(f"{self.seed}|{service}|{task_id}|{attempt}")
        if luck < rules.too_many_requests_ratio:
            return Reaction(outcome="too_many_requests", delay_seconds=0.0)
        failed = luck < rules.too_many_requests_ratio + rules.error_ratio
        return Reaction(outcome="error" if failed else "ok", delay_seconds=_latency(rules, slowness))

    def as_document(self) -> dict[str, Any]:
        """The profile as `parse` reads it."""
        return {"seed": self.seed} | {
            name: {key: getattr(rules, key) for key in _KEYS} for name, rules in self.services.items()
        }


_KEYS = tuple(item.name for item in fields(ServiceProfile))


def load(text: str, *, name: str) -> Profile:
    """The profile in a JSON text; `name` is what messages call it."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise ProfileError(f"{name}: not JSON: {error}") from error
    return parse(document, name=name)


def parse(document: Any, *, name: str, base: Profile | None = None) -> Profile:
    """The profile of a JSON document. A service it leaves out is as in `base`; one it names has only what it states."""
    base = base or Profile()
    if not isinstance(document, dict):
        raise ProfileError(f"{name}: expected an object with the keys seed, {', '.join(SERVICES)}")
    services = dict(base.services)
    seed = base.seed
    for key, value in document.items():
        if key == "seed":
            seed = _seed(value, name=name)
        elif key in SERVICES:
            services[key] = _service(value, name=f"{name}: {key}")
        else:
            raise ProfileError(f"{name}: unknown key {key!r}; known: seed, {', '.join(SERVICES)}")
    return Profile(seed=seed, services=services)


def _seed(value: Any, *, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ProfileError(f"{name}: seed is {value!r}; expected a whole number")
    return value


def _service(value: Any, *, name: str) -> ServiceProfile:
    if not isinstance(value, dict):
        raise ProfileError(f"{name} is {value!r}; expected an object with any of {', '.join(_KEYS)}")
    for key in value:
        if key not in _KEYS:
            raise ProfileError(f"{name}: unknown key {key!r}; known: {', '.join(_KEYS)}")
    rules = ServiceProfile(**{key: _number(number, name=f"{name}.{key}") for key, number in value.items()})
    for key in ("error_ratio", "too_many_requests_ratio"):
        if getattr(rules, key) > 1:
            raise ProfileError(f"{name}.{key} is {getattr(rules, key)}; a ratio is from 0 to 1")
    if rules.error_ratio + rules.too_many_requests_ratio > 1:
        raise ProfileError(f"{name}: error_ratio and too_many_requests_ratio together are above 1")
    if max(rules.latency_seconds, rules.retry_after_seconds) > MAX_LATENCY_SECONDS:
        raise ProfileError(f"{name}: at most {MAX_LATENCY_SECONDS:.0f} seconds")
    return rules


def _number(value: Any, *, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ProfileError(f"{name} is {value!r}; expected a number of 0 or more")
    return float(value)


def _draws(key: str) -> tuple[float, float]:
    """Two independent numbers in [0, 1), the same for the same key."""
    digest = hashlib.blake2b(key.encode(), digest_size=2 * _DRAW_BYTES).digest()
    scale = 256**_DRAW_BYTES
    # Rounding may give exactly 1.0: 53 bits are what a float holds.
    first, second = (int.from_bytes(part) >> 11 for part in (digest[:_DRAW_BYTES], digest[_DRAW_BYTES:]))
    return first / (scale >> 11), second / (scale >> 11)


def _latency(rules: ServiceProfile, draw: float) -> float:
    if rules.latency_sigma == 0 or rules.latency_seconds == 0:
        return rules.latency_seconds
    # The median times e^(sigma * z); the outermost draws are cut, inv_cdf has no value at 0.
    z = _NORMAL.inv_cdf(min(max(draw, 1e-9), 1 - 1e-9))
    return min(rules.latency_seconds * math.exp(rules.latency_sigma * z), MAX_LATENCY_SECONDS)

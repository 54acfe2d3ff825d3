"""Probes as the kubelet runs them: a pure schedule of one probe, and the process that carries an attempt out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.errors import InputError

# Kubernetes' defaults for what a probe leaves out.
DEFAULTS = {
    "initialDelaySeconds": 0,
    "periodSeconds": 10,
    "timeoutSeconds": 1,
    "successThreshold": 1,
    "failureThreshold": 3,
}
NETWORK_HANDLERS = ("httpGet", "tcpSocket", "grpc")


@dataclass(frozen=True)
class ProbeSpec:
    """One probe of a container; `command` still has the container's own paths."""

    kind: str  # startup | liveness | readiness
    command: tuple[str, ...]
    initial_delay_seconds: float
    period_seconds: float
    timeout_seconds: float
    success_threshold: int
    failure_threshold: int
    grace_seconds: float | None = None

    @classmethod
    def from_manifest(cls, kind: str, probe: Mapping[str, Any] | None, *, where: str) -> ProbeSpec | None:
        """Read a probe. Raises InputError for handlers that ask a port: replicas share this machine's ports."""
        if not probe:
            return None
        for handler in NETWORK_HANDLERS:
            if probe.get(handler):
                raise InputError(
                    f"{where}: {kind}Probe.{handler}: replicas share this machine's ports, so the local runtime "
                    "cannot tell whose port answers; use an exec probe"
                )
        unknown = set(probe) - set(DEFAULTS) - {"exec", "terminationGracePeriodSeconds", *NETWORK_HANDLERS}
        if unknown or not probe.get("exec"):
            raise InputError(f"{where}: {kind}Probe needs exec and nothing else new, found {sorted(unknown)}")
        figures = {name: default if probe.get(name) is None else probe[name] for name, default in DEFAULTS.items()}
        return cls(
            kind=kind,
            command=tuple(probe["exec"]["command"]),
            initial_delay_seconds=figures["initialDelaySeconds"],
            period_seconds=figures["periodSeconds"],
            timeout_seconds=figures["timeoutSeconds"],
            success_threshold=figures["successThreshold"],
            failure_threshold=figures["failureThreshold"],
            grace_seconds=probe.get("terminationGracePeriodSeconds"),
        )


@dataclass(frozen=True)
class ProbeState:
    """Where one probe stands. `passing` is None until a threshold was reached for the first time."""

    next_at: float
    passing: bool | None = None
    last: bool | None = None
    in_a_row: int = 0


def started(spec: ProbeSpec, now: float) -> ProbeState:
    """Return the state of a probe whose container starts now."""
    return ProbeState(next_at=now + spec.initial_delay_seconds)


def observe(spec: ProbeSpec, state: ProbeState, ok: bool, *, begun_at: float) -> ProbeState:
    """Return the state after an attempt; only `*_threshold` equal answers in a row change what the probe says."""
    in_a_row = state.in_a_row + 1 if ok == state.last else 1
    needed = spec.success_threshold if ok else spec.failure_threshold
    return ProbeState(
        next_at=begun_at + spec.period_seconds,
        passing=ok if in_a_row >= needed else state.passing,
        last=ok,
        in_a_row=in_a_row,
    )


def at_once(state: ProbeState, now: float) -> ProbeState:
    """Return the state with the next attempt due now: the kubelet does so when a startup probe passes."""
    return replace(state, next_at=min(state.next_at, now))

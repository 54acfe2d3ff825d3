"""A scenario with more traffic. Pure."""

from __future__ import annotations

from dataclasses import replace

from harness.spike.scenario import Phase, Scenario


def scaled(scenario: Scenario, factor: float) -> Scenario:
    """Return the scenario with `factor` times its traffic, in as much time."""
    return replace(scenario, phases=tuple(_phase(phase, factor) for phase in scenario.phases))


def _phase(phase: Phase, factor: float) -> Phase:
    if phase.count is not None:
        return replace(phase, count=round(phase.count * factor))
    if phase.rate_per_second is not None:
        return replace(phase, rate_per_second=phase.rate_per_second * factor)
    return replace(phase, load={name: times * factor for name, times in (phase.load or {}).items()})

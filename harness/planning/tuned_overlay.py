"""A tuner's choice as a values file, the reason beside each figure. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from harness.autoscaling import ScalingRules
from harness.autoscaling.behavior import policy_text
from harness.planning.candidates import ClassSearch
from harness.planning.settings import Setting
from harness.planning.tuner import Reason, Tuned
from harness.planning.verifying import Verified
from harness.simulation.model import Plant

WIDTH = 110
FIGURES = {
    "minimum": "replicas.min",
    "maximum": "replicas.max",
    "scale_up": "behavior.scaleUp",
    "queue_depth": "targets.queueDepth",
    "latency_seconds": "targets.latency",
    "cpu_percent": "targets.cpuUtilization",
    "queue_limit": "maxLength",
}


def overlay(tuned: Tuned, plant: Plant, *, head: Sequence[str]) -> str:
    """Return the YAML text; `head` is what stands above it. `tuned` has a choice."""
    choice = tuned.choice or {}
    lines = [line for paragraph in head for line in _comment(paragraph, 0)]
    blocks = []
    for search in tuned.searches:
        queues = next(one.queues for one in plant.classes if one.name == search.name)
        reasons = {one.figure: one for one in tuned.reasons if one.worker_class == search.name}
        blocks += _class(search, choice[search.name].setting, reasons, queues)
    return "\n".join([*lines, *(["workers:", *blocks] if blocks else ["{}"])]) + "\n"


def _class(search: ClassSearch, chosen: Setting, reasons: Mapping[str, Reason], queues: Sequence[str]) -> list[str]:
    changes = chosen.changes(search.given)
    if not changes:
        return []
    lines = [f"  {search.name}:"]
    if "cheaper" in reasons:
        tried = reasons["cheaper"]
        told = difference(tried.tried, chosen)
        lines += _comment(f"The next cheaper that was tried ({told}) does not do: {missed(tried.verified)}.", 4)
    tree: dict[str, list[str]] = {}
    for name in changes:
        group, _, key = FIGURES[name].partition(".")
        why = _why(search, chosen, name, reasons.get(name))
        if name == "queue_limit":
            for queue in queues:
                limit = [f"      {queue}:", *_comment(why, 8), f"        maxLength: {chosen.queue_limit}"]
                tree.setdefault("queues", []).extend(limit)
            continue
        tree.setdefault(group, []).extend([*_comment(why, 6), *_value(name, key, chosen)])
    for group, inner in tree.items():
        lines += [f"    {group}:", *inner]
    return lines


def _why(search: ClassSearch, chosen: Setting, name: str, reason: Reason | None) -> str:
    given = figure(search.given, name)
    if reason is None:
        return f"Given: {given}. Part of the cheapest that holds."
    if reason.verified.met:
        return f"Given: {given}, which would do as well, but costs more a month."
    return f"With the given {figure(reason.tried, name)}: {missed(reason.verified)}."


def _value(name: str, key: str, chosen: Setting) -> list[str]:
    if name == "scale_up":
        assert chosen.scale_up is not None
        return _rules(key, chosen.scale_up)
    return [f"      {key}: {figure(chosen, name)}"]


def _rules(key: str, rules: ScalingRules) -> list[str]:
    return [
        f"      {key}:",
        f"        stabilizationWindowSeconds: {rules.stabilization_window_seconds}",
        f"        selectPolicy: {rules.select}",
        "        policies:",
        *(
            f"          - {{type: {policy.kind}, value: {policy.value}, periodSeconds: {policy.period_seconds}}}"
            for policy in rules.policies
        ),
    ]


def figure(setting: Setting, name: str) -> str:
    """Write one figure as values have it, or policies in words."""
    value = getattr(setting, name)
    if name == "latency_seconds":
        return f"{value}s"
    if name == "scale_up":
        return "Kubernetes' own" if value is None else " or ".join(policy_text(p, up=True) for p in value.policies)
    return str(value)


def difference(setting: Setting, other: Setting) -> str:
    """Say in words what a setting has that another has not."""
    return ", ".join(f"{FIGURES[name]} {figure(setting, name)}" for name in setting.changes(other))


def missed(verified: Verified) -> str:
    """Say what a simulated combination missed."""
    worst = verified.worst
    if worst is None:
        return f"{verified.scenario}, seed {verified.seed}: a rule that every run must hold was broken"
    where = f"{verified.scenario}, seed {verified.seed}"
    return f"{worst.title.lower()} {worst.measured_words}, {worst.target} wanted ({where})"


def _comment(text: str, indent: int) -> list[str]:
    prefix = " " * indent + "# "
    return textwrap.wrap(text, WIDTH, initial_indent=prefix, subsequent_indent=prefix, break_long_words=False)

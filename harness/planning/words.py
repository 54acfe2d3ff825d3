"""A plan in words and tables: for a terminal, and for its page. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from harness.planning import plot
from harness.planning.changes import Change
from harness.planning.planner import EXPLAINED_AT_MOST, Plan
from harness.spike.forecast import peak_depths, steps
from harness.spike.objectives import Outcome
from harness.spike.report import Table, source_words
from harness.spike.table import steps as printed_steps
from harness.spike.words import TERMINAL_COLUMNS, idle_classes, outcome_lines, printable, seconds, verdict

SHOWN_CONSTRAINTS = 4
SHOWN_CHANGES = 4
HOUR_SECONDS = 3600.0
NOT_THERE = "-"


def text(plan: Plan, *, page: str) -> str:
    """Return the lines a terminal shows."""
    told = verdict(plan.result)
    lines = [
        f"{told.headline.upper()}  {plan.result.scenario} on {plan.runtime}, {plan.environment}: foretold, not run",
        *textwrap.wrap(told.sentence, TERMINAL_COLUMNS),
        "",
        *outcome_lines(plan.result),
        "",
        *_plots(plan),
        *grid(queue_table(plan)),
        "",
        *grid(class_table(plan)),
        "",
        *_reasons(plan),
        *_spread(plan),
        f"  figures  {figures_text(plan)}",
        f"  report   {page}",
    ]
    return printable("\n".join(lines))


def figures_text(plan: Plan) -> str:
    """Say where the figures of workers are from."""
    source = source_words(plan.figures.source)
    if plan.figures.is_assumed:
        return f"of workers (boot, overhead, CPU): {source}; `harness calibrate --runtime {plan.runtime}` measures them"
    return f"of workers (boot, overhead, CPU): {source}"


def tables(plans: Sequence[Plan]) -> list[Table]:
    """Return what the page shows beyond a run's own sections; several plans side by side first."""
    first = plans[0]
    found = [] if len(plans) == 1 else [side_by_side(plans)]
    for plan in plans:
        rows = list(_reason_rows(plan))
        if rows:
            named = "" if len(plans) == 1 else f", {plan.environment}"
            title = f"What holds it back, and what would help{named}"
            hint = "Each constraint was lifted alone, and each figure raised alone, in a simulation of its own."
            found.append(Table(title=title, hint=hint, heads=("", "What", "Effect"), rows=rows))
    return [*found, queue_table(first), class_table(first)]


def side_by_side(plans: Sequence[Plan]) -> Table:
    """Return the plans' verdicts and figures, a column each."""
    rows = [("Verdict", *(verdict(plan.result).headline for plan in plans))]
    for index, outcome in enumerate(plans[0].result.objectives):
        cells = (plan.result.objectives[index] for plan in plans)
        rows.append((f"{outcome.title} ({outcome.target})", *(_outcome_cell(one) for one in cells)))
    rows.append(("Backlog gone after", *(_drain(plan) for plan in plans)))
    for name in ("p50", "p95", "p99"):
        rows.append((f"{name} time to effect", *(_time(plan.result.latency_seconds[name]) for plan in plans)))
    rows.append(("Refused first", *(f"{plan.result.counts.refused_tasks:,}" for plan in plans)))
    for queue in plans[0].result.by_queue:
        rows.append((f"Most waiting in {queue}", *(f"{peak_depths(plan.result).get(queue, 0):,}" for plan in plans)))
    rows.append(("Pods", *(printed_steps(plan.result) or "no change" for plan in plans)))
    rows.append(("Pod-hours", *(f"{_pod_hours(plan):.2f}" for plan in plans)))
    rows.append(("Binds", *(_binds(plan) for plan in plans)))
    heads = ("", *(plan.environment for plan in plans))
    return Table(title="Side by side", hint="The second one's curves are the long dashes.", heads=heads, rows=rows)


def compared(plans: Sequence[Plan], *, page: str) -> str:
    """Return the lines a terminal shows of plans side by side."""
    head = f"{plans[0].result.scenario} on {plans[0].runtime}: foretold, not run"
    lines = [head, "", *_plots(plans[0]), *grid(side_by_side(plans)), "", f"  figures  {figures_text(plans[0])}"]
    return printable("\n".join([*lines, f"  report   {page}"]))


def _outcome_cell(outcome: Outcome) -> str:
    return f"{outcome.measured_words} {'met' if outcome.passed else 'MISSED'}"


def _drain(plan: Plan) -> str:
    value = plan.result.drain_seconds
    return "never" if value is None else seconds(value)


def _time(value: float | None) -> str:
    return NOT_THERE if value is None else seconds(value)


def _pod_hours(plan: Plan) -> float:
    return sum(each["replica_seconds"] or 0.0 for each in plan.utilisation.values()) / HOUR_SECONDS


def _binds(plan: Plan) -> str:
    found = plan.binding
    return NOT_THERE if found is None or not found.constraints else found.constraints[0].text


def queue_table(plan: Plan) -> Table:
    """Return peak depth against limit, and refusals, of each queue that had work."""
    result, peaks = plan.result, peak_depths(plan.result)
    rows = []
    for queue, counts in result.by_queue.items():
        limit = (result.setup["queues"].get(queue) or {}).get("max_length_messages")
        rows.append(
            (
                queue,
                f"{peaks.get(queue, 0):,}",
                NOT_THERE if limit is None else f"{limit:,}",
                f"{counts['refused_tasks'] or 0:,.0f}",
                f"{counts['refused_finally'] or 0:,.0f}",
                *(NOT_THERE if counts[name] is None else seconds(counts[name]) for name in ("p50", "p95", "p99")),
            )
        )
    heads = ("Queue", "Most waiting", "Limit", "Refused first", "For good", "p50", "p95", "p99")
    return Table(title="Queues", hint="", heads=heads, rows=rows)


def class_table(plan: Plan) -> Table:
    """Return pods and utilisation of each class that had work."""
    result, taken, idle = plan.result, steps(plan.result), idle_classes(plan.result)
    rows = []
    for name, each in result.setup["classes"].items():
        if name in idle:
            continue
        used = plan.utilisation[name]
        counts = taken.get(each["deployment"]) or [each["minimum"]]
        rows.append(
            (
                name,
                " → ".join(map(str, counts)),
                str(each["maximum"]),
                _percent(used["slots_share"]),
                _percent(used["cpu_request_share"]),
                f"{(used['replica_seconds'] or 0) / HOUR_SECONDS:.2f}",
            )
        )
    heads = ("Class", "Pods", "At most", "Slots used", "CPU of request", "Pod-hours")
    hint = "Slots and CPU are means over all pods' time, from the start of the load to the end."
    return Table(title="Classes", hint=hint, heads=heads, rows=rows)


def _percent(share: float | None) -> str:
    return NOT_THERE if share is None else f"{share:.0%}"


# --- why -----------------------------------------------------------------------------------------------------------


def _reason_rows(plan: Plan) -> Iterator[tuple[str, str, str]]:
    if plan.result.planned > EXPLAINED_AT_MOST:
        yield "binds", f"not looked for: {plan.result.planned:,} tasks, {EXPLAINED_AT_MOST:,} are the most", ""
    if plan.binding is not None:
        looked_at = f"{plan.binding.objective}: {plan.binding.measured}"
        if not plan.binding.constraints:
            yield "binds", "nothing that was lifted alone: the service time itself", looked_at
        for index, one in enumerate(plan.binding.constraints[:SHOWN_CONSTRAINTS]):
            effect = f"{looked_at}, {one.without} without it"
            yield "then" if index else "binds", one.text, effect
    if plan.changes is not None:
        if not plan.changes:
            yield "change", "no single figure met every objective, at ten times what it is", ""
        for index, change in enumerate(plan.changes[:SHOWN_CHANGES]):
            yield "or" if index else "change", change.text, _change_effect(change)


def _change_effect(change: Change) -> str:
    return f"meets every objective with {change.pod_seconds / HOUR_SECONDS:.2f} pod-hours"


def _reasons(plan: Plan) -> Iterator[str]:
    for label, what, effect in _reason_rows(plan):
        told = f"{what} ({effect})" if effect else what
        first, *others = textwrap.wrap(told, TERMINAL_COLUMNS - 11)
        yield f"  {label:<7}  {first}"
        yield from (f"{'':11}{line}" for line in others)


def _spread(plan: Plan) -> Iterator[str]:
    if not plan.spread:
        return
    drains = sorted(draw.drain_seconds for draw in plan.spread if draw.drain_seconds is not None)
    passed = sum(draw.passed for draw in plan.spread)
    told = f"drained in {seconds(drains[0])} to {seconds(drains[-1])}" if drains else "never drained"
    yield f"  spread   {passed} of {len(plan.spread)} seeds meet all; {told}"


# --- plots and tables ----------------------------------------------------------------------------------------------


def _plots(plan: Plan) -> Iterator[str]:
    result = plan.result
    line, peaks = result.timeline, peak_depths(result)
    names = {each["deployment"]: name for name, each in result.setup["classes"].items()}
    idle = idle_classes(result)
    for queue, peak in peaks.items():
        limit = (result.setup["queues"].get(queue) or {}).get("max_length_messages")
        values = [value or 0.0 for value in line.queues[queue]["ready"]]
        yield f"  messages waiting in {queue}" + (f" (limit {limit:,})" if limit else "")
        drawn = plot.labelled(plot.area(values, top=float(peak)), top=float(max(peak, 1)), seconds=line.seconds[-1])
        yield from (f"  {row}" for row in drawn)
    for deployment, counts in line.replicas.items():
        name = names.get(deployment, deployment)
        if name in idle:
            continue
        ready = [value or 0.0 for value in counts["ready"]]
        most = max(ready, default=0.0)
        yield f"  {name} pods ready, at most {most:.0f}"
        yield from (f"  {row}" for row in plot.area(ready, top=most, height=1))
    yield ""


def grid(table: Table) -> list[str]:
    """Return a table as aligned lines."""
    rows = [tuple(table.heads), *[tuple(row) for row in table.rows]]
    widths = [max(len(row[at]) for row in rows) for at in range(len(table.heads))]

    def line(row: Sequence[str]) -> str:
        first, *others = row
        cells = [f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True)]
        return f"  {first:<{widths[0]}}  {'  '.join(cells)}".rstrip()

    return [line(row) for row in rows]

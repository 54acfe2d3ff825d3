"""A soak's report: one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.soak import charts
from harness.soak.mix import KINDS
from harness.soak.verdict import Sample, Verdict
from harness.spike.report import PALETTE, page_templates, setup_tables
from harness.spike.words import seconds

FILE_NAME = "report.html"
COLUMNS = {
    "Tasks": "tasks",
    "Accepted": "accepted",
    "Done": "completed",
    "Dead-lettered": "dead_lettered",
    "Lost": "lost",
    "Done again": "again",
}


def render(verdict: Verdict, samples: Sequence[Sample], setup: Mapping[str, Any]) -> str:
    """Return the page."""
    return (
        page_templates("harness.soak")
        .get_template("soak.html.j2")
        .render(
            verdict=verdict,
            sentence=sentence(verdict),
            figures=_figures(verdict),
            columns=COLUMNS,
            kinds=[(kind.title, verdict.kinds[kind.name]) for kind in KINDS] + [("all", verdict.total)],
            charts=charts.charts(samples, verdict.strikes),
            width=charts.WIDTH,
            height=charts.HEIGHT,
            cpu=_cpu(verdict),
            setup=setup,
            setup_tables=setup_tables(setup),
            palette=PALETTE,
        )
    )


def sentence(verdict: Verdict) -> str:
    """Say in one sentence how it ended."""
    total = verdict.total
    done = f"{total['completed']:,} of {verdict.tasks:,} tasks were done"
    if verdict.passed:
        struck = f" while {len(verdict.strikes)} faults struck" if verdict.strikes else ""
        return f"{done} in {seconds(verdict.seconds)}{struck}. None was lost."
    return f"{done}. {'; '.join(verdict.problems)}."


def _figures(verdict: Verdict) -> list[dict[str, Any]]:
    total, slow = verdict.total, verdict.per_second < verdict.at_least_per_second
    cores = sum(verdict.cpu_seconds.values())
    each = 1000 * cores / total["completed"] if total["completed"] else 0.0
    again = sum(count for effect, count in verdict.again.items() if effect != "mail")
    rows = (
        ("Tasks done", f"{total['completed']:,}", f"of {verdict.tasks:,}", total["completed"] < verdict.tasks),
        ("Tasks lost", f"{total['lost']:,}", f"of {total['accepted']:,} accepted", total["lost"] > 0),
        ("Tasks a second", f"{verdict.per_second:,.0f}", f"{verdict.at_least_per_second:g} wanted", slow),
        ("Took", seconds(verdict.seconds), f"in {verdict.parts} part{'s' * (verdict.parts != 1)}", False),
        (
            "Done again",
            f"{again:,}",
            f"and {verdict.again['mail']:,} mails, {verdict.mails_at_risk:,} at risk",
            again > 0,
        ),
        ("CPU a task", f"{each:.1f} ms", f"{cores:,.0f} s in all", False),
    )
    return [{"label": label, "value": value, "aside": aside, "bad": bad} for label, value, aside, bad in rows]


def _cpu(verdict: Verdict) -> list[tuple[str, str, str]]:
    done = verdict.total["completed"] or 1
    ordered = sorted(verdict.cpu_seconds.items(), key=lambda one: -one[1])
    return [(name, f"{used:,.0f} s", f"{1000 * used / done:.2f} ms") for name, used in ordered]

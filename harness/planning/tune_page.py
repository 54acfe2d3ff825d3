"""The page of a tuner: cost against latency, and what was chosen."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from harness.planning import tuned_overlay
from harness.planning.candidates import curve
from harness.planning.settings import Setting
from harness.planning.tuner import Tuned

if TYPE_CHECKING:
    from harness.planning.tuning import Found


def page(tuned: Tuned, *, percent: float, found: Found) -> str:
    """Return the page; it loads nothing."""
    import plotly.graph_objects as go  # a slow import that only a page needs

    points, currency = curve(tuned.searches), found.request.prices.currency
    drawn = go.Figure()
    drawn.add_scatter(
        x=[seconds for seconds, _ in points], y=[cost for _, cost in points], mode="lines+markers",
        line={"shape": "hv"}, name="cheapest settings",
    )  # fmt: skip
    if tuned.choice:
        drawn.add_scatter(
            x=[max(one.latency_seconds for one in tuned.choice.values())], y=[tuned.cost], mode="markers",
            marker={"size": 14, "symbol": "diamond"}, name="chosen",
        )  # fmt: skip
    drawn.update_layout(
        xaxis_title=f"{percent:g} % of the tasks of every class done within, s",
        yaxis_title=f"{currency} a month",
        template="plotly_white",
    )
    rows = "".join(
        f"<tr><td>{escape(search.name)}</td><td>{escape(_told(tuned, search.name))}</td></tr>"
        for search in tuned.searches
    )
    reasons = "".join(
        f"<tr><td>{escape(one.worker_class)}</td><td>{escape(one.figure)}</td>"
        f"<td>{escape(tuned_overlay.difference(one.tried, _chosen(tuned, one.worker_class)))}</td>"
        f"<td>{'met' if one.verified.met else escape(tuned_overlay.missed(one.verified))}</td></tr>"
        for one in tuned.reasons
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Tuned values</title>"
        "<style>body{font:16px/1.5 system-ui;margin:2rem auto;max-width:70rem;padding:0 1rem}"
        "td,th{padding:.3rem .8rem;text-align:left;border-bottom:1px solid #ddd}</style>"
        f"<h1>Cost against latency</h1><p>{escape(' '.join(found.request.scenarios))} at "
        f"{1 + found.request.headroom:g} times the load, on {escape(found.values.environment)}; coarse model, "
        f"prices: {escape(found.request.prices.name)} ({escape(found.request.prices.source)}).</p>"
        f"{drawn.to_html(full_html=False, include_plotlyjs=True)}"
        f"<h2>Chosen</h2><table><tr><th>class<th>changes</tr>{rows}</table>"
        f"<h2>What was rejected, task by task</h2><table><tr><th>class<th>figure<th>tried<th>outcome</tr>{reasons}"
        "</table></html>"
    )


def _chosen(tuned: Tuned, name: str) -> Setting:
    search = next(one for one in tuned.searches if one.name == name)
    return tuned.choice[name].setting if tuned.choice else search.given


def _told(tuned: Tuned, name: str) -> str:
    search = next(one for one in tuned.searches if one.name == name)
    if tuned.choice is None:
        return "nothing found"
    return tuned_overlay.difference(tuned.choice[name].setting, search.given) or "as given"

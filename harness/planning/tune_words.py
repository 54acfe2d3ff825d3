"""What a tuner found, for a terminal and as JSON. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.planning import plot, tuned_overlay
from harness.planning.candidates import ClassSearch, curve

if TYPE_CHECKING:
    from harness.planning.tuning import Found

CURVE_ROWS = 12


def text(found: Found, *, overlay: Path | None, page: Path) -> str:
    """Return what is printed: the curve, what was chosen and why, or what came nearest."""
    lines = [*_curve(found), ""]
    tuned = found.tuned
    if tuned.choice is None:
        lines += _nothing(found)
    else:
        currency = found.request.prices.currency
        lines.append(
            f"MET at {1 + found.request.headroom:g} times the load of {', '.join(found.request.scenarios)}: "
            f"{tuned.cost:,.2f} {currency} a month ({found.request.prices.name} prices)"
        )
        for search in tuned.searches:
            candidate = tuned.choice[search.name]
            told = tuned_overlay.difference(candidate.setting, search.given) or "as given"
            lines.append(f"  {search.name}: {told} ({candidate.cost:,.2f} {currency})")
        lines += ["", *(f"  {line}" for line in _reasons(found))]
        lines += ["", f"overlay  {overlay}"]
    lines += [*_as_given(found), f"page     {page}"]
    if found.keeps_minimum:
        lines.append(
            "The minima were kept: the scenario's load is in multiples of what they hold, so a run on more warm pods "
            "would offer more. --max-minimum lets them rise."
        )
    lines.append(f"Searched {tuned.coarse_runs:,} settings on the coarse model, {len(tuned.verified)} task by task.")
    return "\n".join(lines)


def _curve(found: Found) -> list[str]:
    points = curve(found.tuned.searches)
    if not points:
        return ["No setting within the bounds does all of the work."]
    shown = points[:: max(1, len(points) // CURVE_ROWS)]
    top = max(cost for _, cost in shown)
    title = f"{found.percent:g} % done within, against {found.request.prices.currency} a month (coarse)"
    return [title, *(f"{seconds:>8,.0f} s  {_bar(cost / top)} {cost:,.2f}" for seconds, cost in shown)]


def _bar(share: float) -> str:
    eighths = round(share * 40 * 8)
    return plot.BLOCKS[-1] * (eighths // 8) + (" ▏▎▍▌▋▊▉"[eighths % 8]).strip()


def _reasons(found: Found) -> list[str]:
    choice = found.tuned.choice or {}
    return [
        f"{one.worker_class}: {tuned_overlay.difference(one.tried, choice[one.worker_class].setting)}: "
        + ("met as well, but dearer" if one.verified.met else f"rejected, {tuned_overlay.missed(one.verified)}")
        for one in found.tuned.reasons
    ]


def _nothing(found: Found) -> list[str]:
    lines = ["MISSED: nothing within the bounds meets the objectives"]
    for search in found.tuned.searches:
        lines.append(f"  {search.name}: {_nearest(search)}")
    if found.tuned.verified:
        last = found.tuned.verified[-1]
        lines.append(f"  simulated task by task, the last of {len(found.tuned.verified)}: {tuned_overlay.missed(last)}")
    return lines


def _nearest(search: ClassSearch) -> str:
    nearest = search.nearest
    told = tuned_overlay.difference(nearest.setting, search.given) or "as given"
    worst = nearest.worst
    limit = ", ".join(f"{key} {value}" for key, value in worst.objective.parameters.items())
    verdict = "would do alone" if worst.met else f"nearest miss: {worst.objective.name} {worst.measured:.4g} ({limit})"
    return f"{verdict} with {told} (coarse)"


def _as_given(found: Found) -> list[str]:
    lines = []
    for name, judgement in found.given.items():
        missed = [one for one in judgement.outcomes if not one.passed]
        told = "; ".join(f"{one.title.lower()} {one.measured_words} ({one.target} wanted)" for one in missed)
        lines.append(f"as given {name}: {told or 'meets everything too'}")
    return lines


def document(found: Found, *, overlay: Path | None, page: Path) -> dict[str, Any]:
    """Return the JSON form."""
    tuned = found.tuned
    return {
        "passed": tuned.choice is not None,
        "overlay": None if overlay is None else str(overlay),
        "page": str(page),
        "cost_a_month": tuned.cost if tuned.choice else None,
        "currency": found.request.prices.currency,
        "headroom": found.request.headroom,
        "choice": {name: one.setting.as_dict() for name, one in (tuned.choice or {}).items()},
        "reasons": [
            {
                "class": one.worker_class,
                "figure": one.figure,
                "tried": one.tried.as_dict(),
                "met": one.verified.met,
                "missed": None if one.verified.met else tuned_overlay.missed(one.verified),
            }
            for one in tuned.reasons
        ],
        "curve": [{"seconds": seconds, "cost_a_month": cost} for seconds, cost in curve(tuned.searches)],
        "nearest": {search.name: _nearest(search) for search in tuned.searches},
        "coarse_runs": tuned.coarse_runs,
        "verified": len(tuned.verified),
    }

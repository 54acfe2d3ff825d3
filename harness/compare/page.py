"""A comparison's page: one HTML file that needs nothing else, with both sides on the same axes."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from harness.compare import panels, words
from harness.compare.summary import SIDES, Compared, Comparison, middle
from harness.files import write_atomically
from harness.spike.report import FILE_NAME, PALETTE, page_templates, plotly_js, setup_tables


def render(comparison: Comparison) -> str:
    """Return the page. It loads nothing, and shows whatever came from the runs as plain text."""
    return (
        page_templates("harness.compare")
        .get_template("compare.html.j2")
        .render(
            comparison=comparison,
            held_equal=words.held_equal(comparison),
            sections=[_section(one, comparison) for one in comparison.compared],
            setups=[_setup(comparison, name) for name in SIDES],
            machine=comparison.compared[0].after[0].result.setup.get("machine", {}),
            palette=PALETTE,
            plotly_js=plotly_js(),
        )
    )


def write(comparison: Comparison, directory: Path) -> Path:
    """Write report.html into the comparison's folder and return its path."""
    return write_atomically(directory / FILE_NAME, render(comparison))


def _section(compared: Compared, comparison: Comparison) -> dict[str, Any]:
    before, after = (middle(runs).result for runs in (compared.before, compared.after))
    # What pods request is divided on kind, and the budget with it.
    budget = comparison.budget if comparison.runtime != words.DIVIDING else None
    drawn = panels.panels(before, after, budget=budget)
    return {
        "name": compared.scenario,
        "table": words.table(compared, comparison),
        "description": after.description,
        "sentence": words.sentence(compared),
        "latencies": words.latencies(compared),
        "drawn": words.drawn(compared),
        "panels": drawn,
        "drawing": {
            "seconds": panels.axis(before, after),
            "panels": [panel.as_dict() for panel in drawn],
            "marks": [],
            "palette": PALETTE,
        },
        "runs": [
            {
                "heading": words.HEADINGS[name],
                "href": quote(f"{run.path}/{FILE_NAME}"),
                "path": run.path,
                "passed": run.result.passed,
            }
            for name in SIDES
            for run in getattr(compared, name)
        ],
    }


def _setup(comparison: Comparison, name: str) -> dict[str, Any]:
    setup = getattr(comparison.compared[0], name)[0].result.setup
    return {
        "heading": words.HEADINGS[name],
        "files": ", ".join(setup.get("values_files", ())),
        "tables": setup_tables(setup),
    }

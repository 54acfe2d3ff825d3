"""The page: complete, self-contained, safe; and the folder of runs."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner
from plotly.offline import get_plotlyjs

from harness.cli.report import command
from harness.errors import InputError
from harness.spike import report, result
from harness.spike.panels import marks, panels
from harness.spike.result import Result
from tests.unit.compare import made
from tests.unit.spike_report import scenes

# In one process: each would simulate the campaign of its own.
pytestmark = pytest.mark.xdist_group("report page")


class Page(HTMLParser):
    """The elements, attributes and texts a browser would see."""

    VOID = frozenset({"meta", "br", "img", "link", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text.replace(get_plotlyjs(), ""))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in {"script", "style"}:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))

    def data(self, text: str) -> dict:
        found = re.search(r'<script type="application/json" id="timeline-data"[^>]*>(.*?)</script>', text, re.DOTALL)
        assert found
        return json.loads(found[1])


@pytest.fixture(scope="module")
def campaign() -> Result:
    return scenes.campaign()


@pytest.fixture(scope="module")
def html(campaign: Result) -> str:
    return report.render(campaign)


def test_the_page_is_well_formed_and_shows_the_numbers(html: str, campaign: Result) -> None:
    page = Page(html)
    assert page.open == []
    for wanted in (
        "Passed",
        "10,000",
        f"{campaign.counts.refused_tasks:,}",
        campaign.command,
        "values/keda.yaml",
        "at most 180 s",
    ):
        assert wanted in page.text


def test_nothing_is_loaded_from_anywhere(html: str) -> None:
    for tag, attributes in Page(html).elements:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base"}
        assert not attributes.get("src")
        assert "://" not in (attributes.get("href") or "")
    policies = [a["content"] for tag, a in Page(html).elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert len(policies) == 1
    assert "default-src 'none'" in (policies[0] or "")
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_the_ledgers_sums_add_up_as_printed() -> None:
    text = Page(report.render(scenes.broken())).text
    sums = re.findall(r"([\d,]+) = ([\d,]+(?: \+ [\d,]+)+)", text)
    assert len(sums) == 2
    for whole, parts in sums:
        assert int(whole.replace(",", "")) == sum(int(part.replace(",", "")) for part in parts.split(" + "))


@pytest.mark.parametrize(
    "scene", [scenes.campaign, scenes.surge, scenes.broken, scenes.interrupted, scenes.idle_classes]
)
def test_every_scene_renders_its_own_verdict(scene) -> None:
    outcome = scene()
    page = Page(report.render(outcome))
    assert page.open == []
    heading = "Not finished" if outcome.interrupted else "Passed" if outcome.passed else "Failed"
    assert heading in page.text
    marks_shown = page.text.count("Miss") - page.text.count("Missed")
    assert marks_shown == len(outcome.missed)


def test_groups_of_tasks_have_a_table_of_their_own(html: str) -> None:
    grouped = report.render(made.surge())
    assert '<th scope="row">io, surge</th>' in grouped
    assert "By group of tasks" not in html  # of a scenario without groups


def test_hostile_names_stay_text() -> None:
    hostile = scenes.hostile()
    text = report.render(hostile)
    page, plain = Page(text), Page(report.render(scenes.hostile("plain")))
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in plain.elements]
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert scenes.HOSTILE in "".join(page.texts)
    assert page.data(text)["panels"][1]["series"][0]["name"] == f"{scenes.HOSTILE} waiting"
    links = [attributes["href"] for tag, attributes in page.elements if tag == "a"]
    assert "javascript%3Aalert%281%29" in links
    assert not [link for link in links if (link or "").startswith("javascript:")]


def test_series_are_as_long_as_the_axis(campaign: Result) -> None:
    length = len(campaign.timeline.seconds)
    for panel in panels(campaign):
        assert {len(series.values) for series in panel.series} == {length}


def test_a_limit_far_above_the_curve_is_told_not_drawn() -> None:
    def depth(outcome: Result) -> tuple[list[str], str]:
        panel = next(panel for panel in panels(outcome) if panel.key == "depth")
        return [series.name for series in panel.series], panel.note

    names, note = depth(scenes.campaign(3000))
    assert "io limit 5,000" in names
    names, note = depth(scenes.campaign(400))
    assert "io limit 5,000" not in names
    assert "io 5,000" in note


def test_classes_without_work_do_not_crowd_the_charts() -> None:
    names = {series.name.split()[0] for panel in panels(scenes.idle_classes()) for series in panel.series}
    assert "io" in names
    assert not names & {"cpu", "mixed"}


def test_decisions_of_one_sync_share_a_mark() -> None:
    assert [mark.text for mark in marks(scenes.surge())] == ["io 1 → 4, cpu 1 → 3, mixed 1 → 2"]
    assert [(mark.text, mark.bad) for mark in marks(scenes.broken())] == [("killed", True), ("1 → 2", False)]


def test_classes_keep_one_colour_through_all_panels() -> None:
    used: dict[str, set[str]] = {}
    for panel in panels(scenes.surge()):
        for series in panel.series:
            name = series.name.split()[0]
            if name in {"io", "cpu", "mixed"}:
                used.setdefault(name, set()).add(series.colour)
    assert {name: len(colours) for name, colours in used.items()} == {"io": 1, "cpu": 1, "mixed": 1}
    assert len(set.union(*used.values())) == 3


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_keeps_its_contrast(theme: str) -> None:
    """WCAG AA: 4.5 for text on page, card and tints, 3 for curves."""
    colours = report.PALETTE[theme]
    for ink in ("ink", "soft", "link", "good", "bad", "warn"):
        for ground in ("page", "card"):
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
    for tone in ("good", "bad", "warn"):
        assert contrast(colours[tone], colours[f"{tone}-tint"]) >= 4.5
        assert contrast(colours["soft"], colours[f"{tone}-tint"]) >= 4.5
    for curve in colours:
        if curve.startswith(("series", "latency")) or curve in {"arrived", "done", "refused", "limit", "other"}:
            assert contrast(colours[curve], colours["page"]) >= 3, curve


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


# --- the folder of runs ----------------------------------------------------------------------------------------------


@pytest.fixture
def reports(tmp_path: Path, campaign: Result) -> Path:
    """Two runs, the newer one failed; `latest`, an unfinished run and a run without a result beside them."""
    reports = tmp_path / "reports"
    result.write(campaign, reports / "b-old")
    result.write(replace(scenes.broken(), started_at=campaign.started_at + 60), reports / "a-new")
    report.point_latest(reports / "a-new")
    result.write(campaign, reports / ".c.partial")
    (reports / "failed-d").mkdir()
    return reports


def test_runs_are_listed_newest_first(reports: Path) -> None:
    assert [run.directory.name for run in report.runs(reports)] == ["a-new", "b-old"]


def test_a_run_is_found_by_nothing_name_path_and_latest(reports: Path) -> None:
    assert report.find(reports, None).directory.name == "a-new"
    assert report.find(reports, "b-old").directory == reports / "b-old"
    assert report.find(reports, str(reports / "b-old" / "result.json")).directory == reports / "b-old"
    assert report.find(reports, "latest").result.scenario == "chaos-burst"
    with pytest.raises(InputError, match=r"nope: no such run in .*; newest: a-new, b-old"):
        report.find(reports, "nope")
    with pytest.raises(InputError, match="no run there; `make spike` makes one"):
        report.find(reports / "empty", None)


def test_latest_moves_on(reports: Path) -> None:
    link = report.point_latest(reports / "b-old")
    assert link.resolve() == (reports / "b-old").resolve()
    assert not list(reports.glob(".latest-*"))


def test_the_command_renders_anew_and_prints_the_verdict(reports: Path) -> None:
    done = CliRunner().invoke(command, ["--reports", str(reports), "b-old"])
    assert done.exit_code == 0, done.output
    assert done.output.startswith("PASSED  email-campaign on local")
    assert str(reports / "b-old" / "report.html") in done.output
    assert (reports / "b-old" / "report.html").read_text().startswith("<!doctype html>")


def test_the_commands_json_is_the_result(reports: Path) -> None:
    done = CliRunner().invoke(command, ["--reports", str(reports), "--json"])
    assert json.loads(done.output)["scenario"] == "chaos-burst"
    listed = json.loads(CliRunner().invoke(command, ["--reports", str(reports), "--list", "--json"]).output)
    assert [(run["run"], run["verdict"]) for run in listed] == [("a-new", "failed"), ("b-old", "passed")]


def test_the_command_opens_the_page(reports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)
    CliRunner().invoke(command, ["--reports", str(reports), "--open"])
    assert opened == [(reports / "a-new" / "report.html").as_uri()]

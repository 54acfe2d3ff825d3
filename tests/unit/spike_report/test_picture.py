"""The picture of a run: complete, self-contained, safe."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli.report import command
from harness.errors import InputError
from harness.spike import picture, result
from harness.spike.result import Result
from harness.spike.words import verdict
from tests.unit.spike_report import scenes

pytestmark = pytest.mark.xdist_group("report page")
SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    return ["".join(element.itertext()) for element in ET.fromstring(svg).iter(f"{SVG}text")]


def ends(svg: str) -> list[tuple[float, float]]:
    """The right end of each curve, across and down."""
    paths = [path for path in ET.fromstring(svg).iter(f"{SVG}path") if path.get("class") == "curve"]
    return [
        (float(x), float(y))
        for path in paths
        for x, y in [path.attrib["d"].replace("V", " ").replace("H", "L").rpartition("L")[2].split()]
    ]


def test_it_tells_the_verdict_and_draws_what_came_what_waited_and_how_many_pods() -> None:
    run = scenes.campaign()
    said = texts(picture.render(run))
    assert said[0] == verdict(run).headline
    assert " ".join(said[2:4]).startswith(verdict(run).sentence[:40])
    for name in ("Arrivals and throughput tasks/s", "Queue depth messages", "Pods wanted and ready pods"):
        assert name in said
    assert {"first attempts", "done", "io waiting", "io limit 5,000", "io ready"} <= set(said)
    assert {"5,000", "0 s"} <= set(said)


def test_curves_stay_on_the_picture() -> None:
    for run in (scenes.campaign(2_000), scenes.surge(), scenes.slow(2_000)):
        svg = picture.render(run)
        root = ET.fromstring(svg)
        for x, y in ends(svg):
            assert picture.LEFT <= x <= picture.LEFT + picture.WIDTH
            assert 0 < y < float(root.attrib["height"])


def test_a_long_sentence_is_broken() -> None:
    run = scenes.broken()
    said = texts(picture.render(run))
    assert max(map(len, said)) <= picture.LETTERS_A_LINE
    assert " ".join(verdict(run).sentence.split()) in " ".join(said)


def test_it_loads_nothing_and_shows_what_came_from_a_run_as_text() -> None:
    svg = picture.render(scenes.hostile())
    tags = {element.tag.removeprefix(SVG) for element in ET.fromstring(svg).iter()}
    assert tags <= {"svg", "title", "desc", "style", "rect", "g", "text", "tspan", "line", "path"}
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")


def test_the_command_writes_it(tmp_path: Path) -> None:
    run = tmp_path / "reports" / "one"
    result.write(scenes.campaign(500), run)
    target = tmp_path / "spike.svg"
    arguments = ["one", "--reports", str(run.parent), "--picture"]
    done = CliRunner().invoke(command, [*arguments, str(target)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert target.read_text() == picture.render(result.read(run))
    with pytest.raises(InputError, match="there is no folder"):
        CliRunner().invoke(command, [*arguments, str(tmp_path / "none" / "x.svg")], catch_exceptions=False)


def test_a_run_without_a_timeline_is_named() -> None:
    with pytest.raises(ValueError, match="no timeline"):
        picture.render(without_timeline(scenes.campaign(100)))


def without_timeline(run: Result) -> Result:
    line = run.timeline
    return replace(run, timeline=replace(line, seconds=line.seconds[:1]))

"""What a release is called, labelled and followed by; and a snapshot, which is none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.chart import yaml_strict
from harness.chart.values import ROOT, defaults
from harness.errors import InputError
from harness.release import changelog, checkout, labels
from harness.release.plan import Plan, next_steps, plan
from harness.release.rules import CHART_FILE
from tests.unit.release.scenes import CHANGELOG, CHART, CHART_TEXT, FIT, REVISION, VALUES

COMMITTED_SECONDS = 1_767_312_000  # 2026-01-02T00:00:00Z


def planned(**changed: Any) -> Plan:
    snapshot = changed.pop("snapshot", False)
    tree = replace(FIT, **changed)
    return plan(tree, chart_text=CHART_TEXT, values=VALUES, committed_seconds=COMMITTED_SECONDS, snapshot=snapshot)


def test_labels_are_those_of_the_oci_specification() -> None:
    assert planned().labels("examx", "An application") == {
        "org.opencontainers.image.title": "examx",
        "org.opencontainers.image.description": "An application",
        "org.opencontainers.image.version": "0.4.0",
        "org.opencontainers.image.revision": REVISION,
        "org.opencontainers.image.created": "2026-01-02T00:00:00Z",
        "org.opencontainers.image.source": "https://project.example/source",
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.documentation": "https://project.example/docs",
    }


def test_the_projects_own_chart_says_what_labels_need() -> None:
    assert labels.missing(checkout.chart(ROOT)) == ()


def test_a_release_bears_the_versions_that_stand_there() -> None:
    made = planned()
    chart = yaml_strict.load_text(made.chart_text, "Chart.yaml")
    assert (made.name, chart["version"], chart["appVersion"]) == ("celery-workers-1.2.0", "1.2.0", "0.4.0")
    assert made.notes == "# celery-workers 1.2.0\n\n### Added\n- One thing,\n  in two lines.\n\n### Fixed\n- A third.\n"
    assert made.images[0] == {"name": "application", "image": "examx:0.4.0"}


def test_the_charts_text_is_what_stands_there_already() -> None:
    """A release is made of the commit's files as they are."""
    text = (ROOT / CHART_FILE).read_text()
    tree = replace(FIT, chart=checkout.chart(ROOT), changelog=checkout.changelog(ROOT))
    made = plan(tree, chart_text=text, values=defaults(), committed_seconds=COMMITTED_SECONDS, snapshot=False)
    assert made.chart_text == text


@pytest.mark.parametrize("dirty", [False, True])
def test_a_snapshot_says_so_everywhere_and_tells_what_is_unreleased(dirty: bool) -> None:
    made = planned(snapshot=True, changelog=CHANGELOG, uncommitted=("a.md",) if dirty else ())
    mark = f"snapshot.g{REVISION[:12]}" + (".dirty" if dirty else "")
    chart = yaml_strict.load_text(made.chart_text, "Chart.yaml")
    assert (chart["version"], chart["appVersion"]) == (f"1.2.1-{mark}", f"0.4.0-{mark}")
    assert "Not yet." in made.notes
    assert "Not yet." in chart["annotations"]["artifacthub.io/changes"]
    assert f"examx:0.4.0-{mark}" in chart["annotations"]["artifacthub.io/images"]
    found = made.labels("examx-load", "A generator")
    assert found["org.opencontainers.image.version"] == f"0.4.0-{mark}"
    assert found["org.opencontainers.image.revision"] == (f"{REVISION}-dirty" if dirty else REVISION)


def test_a_snapshot_without_anything_unreleased_tells_the_last_release() -> None:
    assert "A third." in planned(snapshot=True).notes
    assert changelog.UNRELEASED not in planned(snapshot=True).chart_text


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"chart": CHART | {"sources": []}}, "Chart.yaml: sources: nothing stands there"),
        ({"chart": CHART | {"version": "1.2"}}, "Chart.yaml: version: '1.2' is no version of SemVer"),
    ],
)
def test_what_cannot_be_named_or_labelled_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        planned(snapshot=True, **changed)


def test_the_next_steps_are_to_check_to_tag_and_to_push() -> None:
    image = "registry.example/team/examx:0.4.0"
    steps = next_steps(planned(), directory="dist/x", archives={"examx-0.4.0-linux-amd64.tar.gz": image})
    assert steps == (
        "(cd dist/x && sha256sum --check SHA256SUMS)",
        f'git tag -a v1.2.0 -m "celery-workers 1.2.0" {REVISION}',
        "git push origin v1.2.0",
        "helm push dist/x/celery-workers-1.2.0.tgz oci://REGISTRY/charts",
        "gunzip --stdout dist/x/examx-0.4.0-linux-amd64.tar.gz | docker load",
        "docker tag registry.example/team/examx:0.4.0 REGISTRY/examx:0.4.0",
        "docker push REGISTRY/examx:0.4.0",
    )


@pytest.mark.parametrize("changed", [{"snapshot": True}, {"tags": {"v1.2.0": REVISION}}])
def test_neither_a_snapshot_nor_a_tagged_commit_is_to_be_tagged(changed: dict[str, Any]) -> None:
    assert not any("git" in step for step in next_steps(planned(**changed), directory="dist/x", archives={}))

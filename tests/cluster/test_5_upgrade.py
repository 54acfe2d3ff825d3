"""A release is changed while tasks are published: another image, another chart, and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster import topology
from tests.cluster.earlier import earlier
from tests.cluster.place import Place
from tests.cluster.results import Note
from tests.cluster.space import Space

CHARTS = Path(__file__).parent / "charts"
FIRST, FIRST_VALUES = CHARTS / "celery-workers-0.1.0.tgz", CHARTS / "values-0.1.0.yaml"
# All classes; little enough for one pod each, so that the change is what moves pods.
LOAD = (*["forgot_password_mail", "check_db_connections"] * 3, "bulk_upload_questions_task")
PER_SECOND, WORK_SECONDS = 7.0, 3.0
SLOW = {"smtp": WORK_SECONDS, "wait": WORK_SECONDS, "storage": WORK_SECONDS}


@pytest.mark.timeout(700)
def test_from_the_first_chart_to_this_one_with_another_image_and_back_no_task_is_lost(
    space: Space, place: Place, record_property: Note
) -> None:
    require_no_loss(space, place, FIRST, FIRST_VALUES, record_property)


@pytest.mark.full
@pytest.mark.timeout(700)
def test_from_the_chart_of_the_commit_before_to_this_one_and_back_no_task_is_lost(
    space: Space, place: Place, tmp_path: Path, record_property: Note
) -> None:
    before = earlier("prod,keda,kind", tmp_path)
    print(f"from the chart of {before.commit}")
    require_no_loss(space, place, before.chart, before.values, record_property)


def require_no_loss(space: Space, place: Place, chart: Path, values: Path, note: Note) -> None:
    """Install a chart, then change to this one with another image and back under load; fail where a task suffers."""
    space.fixtures({name: {"latency_seconds": seconds} for name, seconds in SLOW.items()})
    # Not the former chart's own image, which nobody has any more: only the one that the cluster was made with.
    space.install(values, chart=chart, values={"image": {"tag": place.image.rpartition(":")[2]}})
    before = _pods(space)
    with place.another_tag() as tag, space.publishing(LOAD, per_second=PER_SECOND) as outcomes:
        space.upgrade(values, values={"image": {"tag": tag}} if tag else {})
        topology.require_as_rendered(space)
        after = _pods(space)
        if tag or chart == FIRST:  # two charts in a row may make the same pods
            assert not before.keys() & after.keys(), "pods of the former chart are left"
        assert tag is None or {image.rpartition(":")[2] for image in after.values()} == {tag}
        space.rollback()
        topology.require_as_rendered(space)
        assert set(_pods(space).values()) == set(before.values())
    accepted = outcomes["accepted"]
    assert outcomes.keys() == {"accepted"}, {name: len(ids) for name, ids in outcomes.items()}
    space.require_done(accepted, seconds=90, what="tasks accepted while the release changed")
    again = space.delivered_again(accepted)
    note("tasks", len(accepted))
    note("ran twice", len(again))
    assert again == {}, "workers that are told to stop finish what they have in work"
    assert space.restarts() == {}
    assert space.warnings == []


def _pods(space: Space) -> dict[str, str]:
    """Return the image of each worker by its pod."""
    return {pod["metadata"]["name"]: pod["spec"]["containers"][0]["image"] for pod in space.workers()}

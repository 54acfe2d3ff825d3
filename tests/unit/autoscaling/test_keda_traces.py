"""The reading of ScaledObjects against what KEDA itself made of them (tools/keda-oracle)."""

from __future__ import annotations

import copy

import pytest

from tests.conformance.keda import recorded
from tests.conformance.keda.compare import differences
from tests.conformance.keda.ours import live
from tests.conformance.keda.stories import make_story

STORIES = list(recorded.read())


@pytest.mark.parametrize(("story", "keda"), STORIES, ids=[story["id"] for story, _ in STORIES])
def test_what_becomes_of_a_scaled_object_is_what_keda_makes_of_it(story, keda):
    assert differences(keda, live(story)) == []


def test_there_are_stories_of_every_kind():
    taken = [story["scaledObject"]["spec"] for story, keda in STORIES if not keda["refused"]]
    kinds = {trigger["type"] for spec in taken for trigger in spec["triggers"]}
    assert kinds == {"rabbitmq", "cron", "cpu", "memory"}
    assert sum("fallback" in spec for spec in taken) >= 3
    assert any(len(set(keda["replicas"])) > 2 for _, keda in STORIES if not keda["refused"])


def test_a_difference_is_told():
    story, keda = next((story, keda) for story, keda in STORIES if not keda["refused"] and keda["hpa"])
    other = copy.deepcopy(keda)
    other["replicas"][2] += 1
    other["hpa"]["spec"]["maxReplicas"] += 1
    found = differences(other, live(story))
    assert [text.split(":")[0] for text in found] == ["maxReplicas", "replicas after polling 2"]
    assert differences({**keda, "refused": "no"}, live(story)) == ["KEDA refuses it (no); the harness takes it"]


def test_a_story_is_the_same_each_time():
    assert make_story(5) == make_story(5)
    assert make_story(5) != make_story(6)

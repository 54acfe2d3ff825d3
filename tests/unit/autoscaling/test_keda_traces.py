"""The reading of ScaledObjects against what KEDA itself made of them (tools/keda-oracle)."""

from __future__ import annotations

import copy

import pytest

from tests.conformance.keda import recorded
from tests.conformance.keda.compare import differences
from tests.conformance.keda.ours import live
from tests.conformance.keda.shrink import smallest
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


def test_a_time_zone_that_keda_finds_out_at_every_polling_may_be_refused_at_once():
    theirs = {"refused": "", "hpa": None, "replicas": [1], "metrics": [{"s0-cron--1-a-b": None, "s1-rabbitmq-io": 1}]}
    ours = {"refused": "spec.triggers[0].metadata.timezone is '-1'", "hpa": None, "replicas": [], "metrics": []}
    assert differences(theirs, ours) == []
    fallen_back = [*theirs["metrics"], {"s0-cron--1-a-b": 2000}]
    assert differences({**theirs, "metrics": fallen_back}, ours) == []
    assert differences({**theirs, "metrics": [{"s0-cron--1-a-b": 3000, "s1-rabbitmq-io": None}]}, ours) != []
    assert differences(theirs, {**ours, "refused": "spec.triggers[0].metadata.start is missing"}) != []


def test_a_story_is_the_same_each_time():
    assert make_story(5) == make_story(5)
    assert make_story(5) != make_story(6)


def test_a_story_that_differs_is_shrunk_to_what_makes_it_differ():
    def wrong(stories):  # it finds one pod too many of every object that has a fallback
        return [_answer(story) for story in stories]

    def _answer(story):
        answer = {"refused": "", **live(story)}
        if "fallback" in story["scaledObject"]["spec"]:
            answer["replicas"] = [count + 1 for count in answer["replicas"]]
        return answer

    story = next(
        story
        for story, keda in STORIES
        if not keda["refused"]
        and "fallback" in story["scaledObject"]["spec"]
        and [trigger["type"] for trigger in story["scaledObject"]["spec"]["triggers"]] == ["rabbitmq"]
    )
    assert len(story["steps"]) > 1
    small, answer = smallest(story, wrong)
    assert differences(answer, live(small))
    assert set(small["scaledObject"]["spec"]) == {"scaleTargetRef", "triggers", "fallback"}
    assert len(small["steps"]) == 1
    with pytest.raises(ValueError, match="does not differ"):
        smallest(story, lambda stories: [{"refused": "", **live(one)} for one in stories])

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.ops import overrides
from harness.ops.overrides import Override, Placement

FLOOR, OTHER, HOLD = "floor/ScaledObject/io", "floor/ScaledObject/cpu", "hold/ScaledObject/io"


def placed(active: list[Override], world: dict[str, object], wanted: dict[str, object], **changes: object) -> Placement:
    """Place an override in a world of settings, which then has them."""
    placement = overrides.place(
        active,
        override_id=str(changes.get("id", len(active))),
        command="some command",
        wanted=wanted,
        current={thing: world.get(thing) for thing in wanted},
        by="somebody",
        at=100.0,
        until=changes.get("until"),  # type: ignore[arg-type]
    )
    world.update(wanted)
    return placement


def undone(active: list[Override], override: Override, world: dict[str, object]) -> list[overrides.Step]:
    """Undo an override in a world of settings."""
    steps = overrides.undo(active, override, {change.thing: world.get(change.thing) for change in override.changes})
    world.update({step.thing: step.setting for step in steps if step.outcome == "restored"})
    return steps


def test_undo_restores_what_was_there() -> None:
    world: dict[str, object] = {FLOOR: {"min": 1, "max": 5}}
    override = placed([], world, {FLOOR: {"min": 5, "max": 5}}).override
    assert [step.outcome for step in undone([override], override, world)] == ["restored"]
    assert world == {FLOOR: {"min": 1, "max": 5}}


def test_undo_leaves_what_somebody_has_changed_since_and_says_so() -> None:
    world: dict[str, object] = {FLOOR: 1}
    override = placed([], world, {FLOOR: 5}).override
    world[FLOOR] = 3
    (step,) = undone([override], override, world)
    assert step.outcome == "changed"
    assert world == {FLOOR: 3}
    assert "3 since" in step.sentence()
    assert "was 1" in step.sentence()


def test_of_two_overrides_of_one_thing_the_later_one_remembers_the_original() -> None:
    world: dict[str, object] = {FLOOR: 1}
    first = placed([], world, {FLOOR: 3}, id="first")
    second = placed([first.override], world, {FLOOR: 5}, id="second")
    assert second.replaced == (first.override,)
    active = second.applied([first.override])
    assert [one.id for one in active] == ["second"]
    undone(active, second.override, world)
    assert world == {FLOOR: 1}


def test_what_somebody_has_set_between_two_overrides_is_the_second_ones_original() -> None:
    world: dict[str, object] = {FLOOR: 1}
    first = placed([], world, {FLOOR: 3}).override
    world[FLOOR] = 2
    second = placed([first], world, {FLOOR: 5}).override
    undone([second], second, world)
    assert world == {FLOOR: 2}


def test_what_two_overrides_share_is_held_until_the_last_one_ends() -> None:
    world: dict[str, object] = {HOLD: None}
    one = placed([], world, {"paused/io": True, HOLD: "true"}, id="one").override
    two = placed([one], world, {"paused/mail": True, HOLD: "true"}, id="two").override
    outcomes = {step.thing: step.outcome for step in undone([one, two], one, world)}
    assert outcomes == {HOLD: "kept", "paused/io": "restored"}
    assert world[HOLD] == "true"
    undone([two], two, world)
    assert world == {HOLD: None, "paused/io": None, "paused/mail": None}


def test_what_a_replaced_override_changed_besides_is_not_forgotten() -> None:
    world: dict[str, object] = {}
    first = placed([], world, {"paused/io": True, HOLD: "true"}, id="first")
    second = placed([first.override], world, {"paused/io": True}, id="second")
    undone(second.applied([first.override]), second.override, world)
    assert world == {"paused/io": None, HOLD: None}


@given(st.lists(st.tuples(st.sampled_from([FLOOR, OTHER, HOLD]), st.integers(0, 3)), max_size=8), st.randoms())
def test_undoing_all_overrides_in_any_order_restores_everything(
    commands: list[tuple[str, int]], random: object
) -> None:
    original: dict[str, object] = {FLOOR: 1, OTHER: 1, HOLD: None}
    world, active = dict(original), []
    for number, (thing, setting) in enumerate(commands):
        wanted: dict[str, object] = {thing: setting}
        if thing != HOLD and setting == 3:
            wanted[HOLD] = "true"  # shared by overrides of different things
        active = placed(active, world, wanted, id=str(number)).applied(active)
    random.shuffle(order := list(active))  # type: ignore[attr-defined]
    for override in order:
        steps = undone(active, override, world)
        assert not any(step.outcome == "changed" for step in steps) or HOLD in str(steps)
        active = [one for one in active if one.id != override.id]
    assert {thing: world[thing] for thing in (FLOOR, OTHER)} == {FLOOR: 1, OTHER: 1}


def test_due_are_those_whose_time_is_over_the_first_to_end_first() -> None:
    world: dict[str, object] = {}
    late, early, never = (
        placed([], world, {thing: 1}, id=name, until=until).override
        for thing, name, until in ((FLOOR, "late", 30.0), (OTHER, "early", 20.0), (HOLD, "never", None))
    )
    assert [one.id for one in overrides.due([late, early, never], now=30.0)] == ["early", "late"]
    assert overrides.due([late, early, never], now=19.9) == []


def test_what_is_stored_is_read_again() -> None:
    world: dict[str, object] = {FLOOR: {"min": None, "max": 5}}
    override = placed([], world, {FLOOR: {"min": 5, "max": 5}}, until=7.5).override
    document = json.loads(json.dumps(overrides.written([override])))
    assert overrides.read(document) == [override]
    assert overrides.read(None) == []


def test_another_versions_document_is_refused() -> None:
    with pytest.raises(ValueError, match="version 9"):
        overrides.read({"version": 9, "overrides": []})

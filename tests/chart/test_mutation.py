"""Every change of every property of the values schema is refused by its path, or shows. See mutation.py."""

from __future__ import annotations

import pytest

from tests.chart import mutation
from tests.chart.mutants import OTHER_VALUE, Mutant

EVERY = 8


def test_values_set_every_property_of_the_schema() -> None:
    missing = mutation.schema().patterns() - set(mutation.places())
    assert missing == set(), "no base has them: set them in a file of tests/chart/values"
    assert {*mutation.UNREAD, *mutation.HARNESS_ONLY} <= set(mutation.places())


def test_the_harness_refuses_every_mutant_by_its_path() -> None:
    found = mutation.refusable()
    assert sum(map(len, found.values())) > 2000
    assert [str(it) for base in found for it in mutation.taken_by_harness(base, found[base])] == []


# Both check values by the same library; goldens and merging are compared under each.
@pytest.mark.parametrize("major", [pytest.param(3, marks=pytest.mark.full), 4])
def test_helm_refuses_every_mutant_by_its_path(major: int) -> None:
    found = mutation.refusable()
    asked = {base: mutation.one_a_kind(mutants) for base, mutants in found.items()}
    assert [str(it) for base in asked for it in mutation.taken_by_helm(major, base, asked[base])] == []


@pytest.mark.full
def test_other_values_show_in_the_render() -> None:
    """Every eighth property; `make mutation` has all of them, which takes minutes of helm."""
    assert [str(it) for pattern in mutation.changeable()[::EVERY] if (it := mutation.unseen(pattern))] == []


def test_what_only_the_harness_reads_shows_in_what_it_says() -> None:
    assert mutation.HARNESS_ONLY
    assert [str(it) for pattern in mutation.HARNESS_ONLY if (it := mutation.unsaid(pattern))] == []


def test_the_check_notices_what_survives() -> None:
    """A value that the schema takes is no refused one, and the same value changes no render."""
    base, place = mutation.places()["app"][0]
    valid = Mutant(place, OTHER_VALUE, "other.app")
    assert [it.by for it in mutation.taken_by_harness(base, [valid])] == ["harness"]
    assert [it.by for it in mutation.taken_by_helm(4, base, [valid])] == ["helm 4"]
    assert mutation.shows(base, valid)
    assert not mutation.shows(base, Mutant(place, OTHER_VALUE, place.value))
    assert mutation.unsaid("workers.*.runtimeClassName") is not None  # the render shows it, validate has nothing to say

"""Whether values hold a rate."""

from __future__ import annotations

import pytest

from harness.errors import InputError
from harness.planning.capacity import check_rates, parse_rate
from tests.unit.planning.cases import manifests


def problems(*texts: str) -> list[str]:
    return [problem.message for problem in check_rates([parse_rate(one) for one in texts], manifests()).problems]


def test_a_rate_that_fits_is_no_problem() -> None:
    assert problems("io=100", "io=400:2", "cpu=3:3.1") == []


def test_a_rate_above_all_slots_is_one_with_the_pods_it_takes() -> None:
    (problem,) = check_rates([parse_rate("io=600:2")], manifests()).problems
    assert problem.message == "600 tasks a second of 2 s keep 1,200 slots busy, which are more than its 1,000"
    assert problem.fix.startswith("raise workers.io.replicas.max to 8")
    assert problem.severity == "warning"


def test_hardly_fitting_is_one_as_well() -> None:
    assert problems("io=450:2") == ["450 tasks a second of 2 s keep 900 slots busy, which are 90% of its 1,000"]


@pytest.mark.parametrize("text", ["io", "io=", "=5", "io=x", "io=0", "io=5:0", "io=5:x"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--rate"):
        parse_rate(text)


def test_a_class_that_is_not_there_and_a_time_nobody_knows_are_named() -> None:
    with pytest.raises(InputError, match="no worker class 'gpu'"):
        problems("gpu=5:1")
    with pytest.raises(InputError, match=r"workers\.cpu\.expectedTaskSeconds"):
        problems("cpu=5")

"""How the stand-ins behave."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examx.standins import profile
from examx.standins.profile import Profile, ProfileError, parse


def reactions(rules: dict[str, float], *, seed: int = 1, count: int = 2000) -> list[profile.Reaction]:
    made = parse({"seed": seed, "ai": rules}, name="test")
    return [made.react(service="ai", task_id=f"t{n}", attempt=1) for n in range(count)]


def test_default_answers_at_once():
    assert Profile().react(service="smtp", task_id="x", attempt=1) == profile.Reaction(outcome="ok", delay_seconds=0)


def test_latency_is_fixed_without_sigma():
    assert {reaction.delay_seconds for reaction in reactions({"latency_seconds": 2})} == {2.0}


def test_lognormal_latency_has_its_median_and_spread():
    delays = [reaction.delay_seconds for reaction in reactions({"latency_seconds": 8, "latency_sigma": 0.5})]
    cut = statistics.quantiles(delays, n=100)
    # 2,000 draws: the median's own error is about 3 %, that of the 84th percentile (median * e^sigma) about 4 %.
    assert cut[49] == pytest.approx(8, rel=0.1)
    assert cut[83] == pytest.approx(8 * 2.718281828**0.5, rel=0.12)


def test_ratios_hold_and_refusals_come_at_once():
    found = reactions({"latency_seconds": 1, "error_ratio": 0.1, "too_many_requests_ratio": 0.2})
    count = {name: sum(r.outcome == name for r in found) for name in ("ok", "error", "too_many_requests")}
    assert count["error"] == pytest.approx(200, abs=60)
    assert count["too_many_requests"] == pytest.approx(400, abs=80)
    assert {r.delay_seconds for r in found if r.outcome == "too_many_requests"} == {0.0}
    assert {r.delay_seconds for r in found if r.outcome != "too_many_requests"} == {1.0}


def test_draws_depend_on_seed_and_attempt_not_on_order():
    rules = {"latency_seconds": 1, "latency_sigma": 1}
    assert reactions(rules) == reactions(rules)
    assert reactions(rules, seed=2) != reactions(rules)
    made = parse({"ai": {"error_ratio": 0.5}}, name="test")
    outcomes = [made.react(service="ai", task_id="t", attempt=n).outcome for n in range(1, 40)]
    assert {"ok", "error"} == set(outcomes)


def test_services_left_out_stay_as_they_are():
    base = parse({"seed": 4, "smtp": {"latency_seconds": 2}, "ai": {"latency_seconds": 8}}, name="test")
    changed = parse({"ai": {"error_ratio": 1}}, name="test", base=base)
    assert changed.seed == 4
    assert changed.services["smtp"].latency_seconds == 2
    assert changed.services["ai"] == profile.ServiceProfile(error_ratio=1.0)


def test_document_is_read_back():
    made = parse({"seed": 3, "php": {"latency_seconds": 1.5, "latency_sigma": 0.2, "error_ratio": 0.1}}, name="test")
    assert parse(made.as_document(), name="test") == made


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "expected an object"),
        ({"mail": {}}, "unknown key 'mail'"),
        ({"smtp": {"latency": 2}}, "smtp: unknown key 'latency'"),
        ({"smtp": 2}, "expected an object"),
        ({"smtp": {"latency_seconds": "2"}}, r"smtp.latency_seconds is '2'"),
        ({"smtp": {"latency_seconds": -1}}, "expected a number of 0 or more"),
        ({"smtp": {"latency_seconds": True}}, "expected a number"),
        ({"smtp": {"latency_seconds": float("nan")}}, "expected a number"),
        ({"smtp": {"latency_seconds": 3601}}, "at most 3600 seconds"),
        ({"ai": {"error_ratio": 1.1}}, "from 0 to 1"),
        ({"ai": {"error_ratio": 0.6, "too_many_requests_ratio": 0.6}}, "together"),
        ({"seed": 1.5}, "seed is 1.5"),
    ],
)
def test_unusable_profile_is_refused(document: object, message: str):
    with pytest.raises(ProfileError, match=message):
        parse(document, name="test")


def test_text_that_is_no_json_is_refused_by_its_name():
    with pytest.raises(ProfileError, match=r"p\.json: not JSON"):
        profile.load("{", name="p.json")


@given(st.text(max_size=20), st.integers(1, 50), st.floats(0, 100), st.floats(0, 5))
def test_every_reaction_is_a_possible_one(task_id: str, attempt: int, latency: float, sigma: float):
    made = parse({"ai": {"latency_seconds": latency, "latency_sigma": sigma}}, name="test")
    reaction = made.react(service="ai", task_id=task_id, attempt=attempt)
    assert reaction.outcome == "ok"
    assert 0 <= reaction.delay_seconds <= profile.MAX_LATENCY_SECONDS

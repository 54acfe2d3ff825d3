"""The ledger finds every task, by hand-made and by generated histories."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputError
from harness.spike.ledger import (
    Counts,
    DeadLetter,
    Death,
    Effect,
    FinalState,
    Ledger,
    LedgerError,
    Offer,
    OfferEvent,
    Publication,
    account,
)
from tests.unit.spike_report.synthetic import Class, Faults, burst, simulate

KINDS = {"send": "mail", "store": "row"}


def offer(key: str, event: str, at: float = 1.0, *, task: str = "send", stored: bool = False) -> Offer:
    return Offer(at, key, OfferEvent(event), task, "io", "burst", stored=stored)


def settle(*events: str, effects=(), dead=(), in_queue=(), stored=False, task="send") -> Ledger:
    """Account for one task 'a' with the given journal."""
    offers = [offer("a", event, float(at), task=task, stored=stored) for at, event in enumerate(events)]
    return account(offers=offers, effects=effects, dead_letters=dead, in_queue=in_queue, expected_kinds=KINDS)


def only(ledger: Ledger):
    (record,) = ledger.records
    return record


def mail(key: str = "a", at: float = 9.0) -> Effect:
    return Effect(at, key, "mail")


def test_accepted_and_seen_is_completed() -> None:
    record = only(settle("offered", "accepted", effects=[mail()]))
    assert (record.state, record.latency_seconds) == (FinalState.COMPLETED, 9.0)


def test_accepted_and_nowhere_is_lost() -> None:
    ledger = settle("offered", "accepted")
    assert ledger.counts.lost == 1
    assert ledger.lost_ids() == ["a"]


def test_an_effect_of_another_kind_proves_nothing() -> None:
    assert settle("offered", "accepted", effects=[Effect(9.0, "a", "row")]).counts.lost == 1


@pytest.mark.parametrize(
    ("reason", "death"),
    [
        ("expired", Death.EXPIRED),
        ("rejected", Death.FAILED),
        ("delivery_limit", Death.POISON),
        ("maxlen", Death.DROPPED),
        ("", Death.DROPPED),
    ],
)
def test_an_accepted_dead_letter_keeps_its_reason(reason: str, death: Death) -> None:
    ledger = settle("offered", "accepted", dead=[DeadLetter("a", reason)])
    assert only(ledger).death is death
    assert (ledger.counts.dead_lettered, ledger.counts.as_dict()[death.value]) == (1, 1)


def test_completed_goes_before_dead_lettered_before_in_flight() -> None:
    dead = [DeadLetter("a", "expired")]
    assert settle("offered", "accepted", effects=[mail()], dead=dead, in_queue=["a"]).counts.completed == 1
    assert settle("offered", "accepted", dead=dead, in_queue=["a"]).counts.dead_lettered == 1
    assert settle("offered", "accepted", in_queue=["a"]).counts.in_flight == 1


def test_refused_then_accepted() -> None:
    ledger = settle("offered", "refused", "refused", "accepted", effects=[mail()])
    counts = ledger.counts
    assert (counts.refused_then_accepted, counts.refusals, counts.refused_tasks) == (1, 2, 1)
    assert (counts.refused_finally, counts.completed) == (0, 1)


@pytest.mark.parametrize("events", [("offered", "refused", "gave_up"), ("offered", "refused"), ("offered", "gave_up")])
def test_refused_to_the_end(events: tuple[str, ...]) -> None:
    assert only(settle(*events)).publication is Publication.REFUSED


def test_refused_but_kept_counts_apart_and_is_not_dead_lettered() -> None:
    ledger = settle("offered", "refused", stored=True, dead=[DeadLetter("a", "maxlen")])
    assert (ledger.counts.refused_finally, ledger.counts.refused_stored, ledger.counts.dead_lettered) == (1, 1, 0)
    assert not ledger.faults


def test_refused_and_said_to_be_kept_but_not_there_is_a_fault() -> None:
    ledger = settle("offered", "refused", stored=True)
    assert ledger.counts.refused_stored == 0
    assert "in no dead-letter queue" in ledger.faults[0]


@pytest.mark.parametrize(
    "found",
    [{"effects": [mail()]}, {"in_queue": ["a"]}, {"dead": [DeadLetter("a", "expired")]}],
    ids=["effect", "queue", "dead letter"],
)
@pytest.mark.parametrize("events", [("offered", "unconfirmed"), ("offered",), ("offered", "refused", "gave_up")])
def test_what_the_broker_has_counts_as_accepted(events: tuple[str, ...], found: dict) -> None:
    ledger = settle(*events, **found)
    assert (ledger.counts.accepted, ledger.counts.resolved_late) == (1, 1)


@pytest.mark.parametrize("events", [("offered",), ("offered", "unconfirmed"), ("offered", "unconfirmed", "refused")])
def test_no_answer_and_no_trace_stays_unconfirmed(events: tuple[str, ...]) -> None:
    assert settle(*events).counts.unconfirmed == 1


def test_duplicates_by_kind() -> None:
    ledger = settle("offered", "accepted", effects=[mail(at=5.0), mail(at=4.0), mail(at=6.0), Effect(1.0, "a", "ai")])
    assert (ledger.duplicates, ledger.duplicated) == ({"ai": 0, "mail": 2}, 2)
    assert only(ledger).done_at == 4.0


def test_what_nobody_offered_is_named() -> None:
    ledger = settle(
        "offered", "accepted", effects=[mail(), mail("b")], dead=[DeadLetter("c", "expired")], in_queue=["d"]
    )
    assert (ledger.unknown_effects, ledger.unknown_messages) == (("b",), ("c", "d"))
    assert ledger.counts.offered == 1


def test_journal_faults_are_named() -> None:
    assert "without an 'offered' line" in settle("accepted", effects=[mail()]).faults[0]
    assert "offered 2 times" in settle("offered", "offered", "accepted", effects=[mail()]).faults[0]


def test_a_task_nobody_knows_how_to_prove_is_bad_input() -> None:
    with pytest.raises(InputError, match=r"task other: no kind of effect"):
        settle("offered", "accepted", task="other")


def test_an_unknown_reason_is_bad_input() -> None:
    with pytest.raises(InputError, match=r"reason 'boredom' is none of failed"):
        settle("offered", "accepted", dead=[DeadLetter("a", "boredom")])


@pytest.mark.parametrize(
    "numbers",
    [
        {"offered": 1},
        {"offered": 1, "accepted": 1},
        {"offered": 1, "accepted": 1, "dead_lettered": 1},
        {"offered": 1, "accepted": 2, "completed": 2, "refused_finally": -1},
        {"refused_stored": 1},
        {"resolved_late": 1},
        {"refused_tasks": 1},
    ],
)
def test_numbers_that_do_not_add_up_raise(numbers: dict[str, int]) -> None:
    with pytest.raises(LedgerError):
        Counts(**numbers)


# --- generated histories ---------------------------------------------------------------------------------------------

# What may truly happen to one task, and what is then seen of it. (journal, effects, dead letter, in queue)
STORIES = {
    "completed": (["accepted"], 1, None, False),
    "completed twice": (["accepted"], 2, None, False),
    "refused first": (["refused", "refused", "accepted"], 1, None, False),
    "expired": (["accepted"], 0, "expired", False),
    "failed": (["refused", "accepted"], 0, "rejected", False),
    "poison": (["accepted"], 0, "delivery_limit", False),
    "waiting": (["accepted"], 0, None, True),
    "lost": (["accepted"], 0, None, False),
    "given up": (["refused", "gave_up"], 0, None, False),
    "kept": (["refused"], 0, "maxlen", False),
    "confirm lost, done": (["unconfirmed"], 1, None, False),
    "confirm lost, waiting": (["unconfirmed"], 0, None, True),
    "confirm lost, gone": (["unconfirmed"], 0, None, False),
    "publisher died": ([], 0, None, False),
}
STATE_OF = {
    **dict.fromkeys(("completed", "completed twice", "refused first", "confirm lost, done"), FinalState.COMPLETED),
    **dict.fromkeys(("expired", "failed", "poison"), FinalState.DEAD_LETTERED),
    **dict.fromkeys(("waiting", "confirm lost, waiting"), FinalState.IN_FLIGHT),
    "lost": FinalState.LOST,
    **dict.fromkeys(("given up", "kept"), FinalState.REFUSED),
    **dict.fromkeys(("confirm lost, gone", "publisher died"), FinalState.UNCONFIRMED),
}


def history(stories: list[str]) -> tuple[list[Offer], list[Effect], list[DeadLetter], set[str]]:
    offers, effects, dead, waiting = [], [], [], set()
    for number, story in enumerate(stories):
        key, task = f"id-{number}", ("send", "store")[number % 2]
        journal, times, reason, queued = STORIES[story]
        for step, event in enumerate(["offered", *journal]):
            offers.append(offer(key, event, number + step / 10, task=task, stored=story == "kept"))
        effects += [Effect(number + 5.0 + n, key, KINDS[task]) for n in range(times)]
        dead += [DeadLetter(key, reason)] if reason else []
        waiting |= {key} if queued else set()
    return offers, effects, dead, waiting


@given(stories=st.lists(st.sampled_from(sorted(STORIES)), max_size=60), rng=st.randoms(use_true_random=False))
def test_every_story_ends_in_its_state_whatever_the_order(stories: list[str], rng) -> None:
    offers, effects, dead, waiting = history(stories)
    rng.shuffle(offers)
    rng.shuffle(effects)
    ledger = account(offers=offers, effects=effects, dead_letters=dead, in_queue=waiting, expected_kinds=KINDS)
    assert {row.id: row.state for row in ledger.records} == {
        f"id-{number}": STATE_OF[story] for number, story in enumerate(stories)
    }
    told = Counter(stories)
    assert ledger.counts.lost == told["lost"]
    assert ledger.duplicated == told["completed twice"]
    assert ledger.counts.refused_stored == told["kept"]
    assert ledger.counts.refused_then_accepted == told["refused first"] + told["failed"]
    assert not ledger.faults
    assert not ledger.unknown_effects


@given(
    stories=st.lists(st.sampled_from(sorted(STORIES)), min_size=1, max_size=40),
    cut=st.integers(min_value=0),
)
def test_a_torn_journal_still_adds_up_and_invents_no_loss(stories: list[str], cut: int) -> None:
    """A publisher's file that ends early can hide that a task was accepted; it can never make a done one lost."""
    offers, effects, dead, waiting = history(stories)
    kept = offers[: cut % (len(offers) + 1)]
    ledger = account(offers=kept, effects=effects, dead_letters=dead, in_queue=waiting, expected_kinds=KINDS)
    assert ledger.counts.offered == len({line.id for line in kept})
    assert ledger.counts.lost <= Counter(stories)["lost"]
    offered = {line.id for line in kept}
    assert set(ledger.unknown_effects) == {effect.id for effect in effects} - offered


@given(
    at=st.integers(0, 199),
    stories=st.lists(
        st.sampled_from(["completed", "refused first", "expired", "given up"]), min_size=200, max_size=200
    ),
)
def test_the_one_lost_task_is_found(at: int, stories: list[str]) -> None:
    stories[at] = "lost"
    offers, effects, dead, waiting = history(stories)
    ledger = account(offers=offers, effects=effects, dead_letters=dead, in_queue=waiting, expected_kinds=KINDS)
    assert ledger.lost_ids() == [f"id-{at}"]


@given(stories=st.lists(st.sampled_from(sorted(STORIES)), max_size=40))
def test_the_parts_of_a_ledger_make_its_whole(stories: list[str]) -> None:
    offers, effects, dead, waiting = history(stories)
    ledger = account(offers=offers, effects=effects, dead_letters=dead, in_queue=waiting, expected_kinds=KINDS)
    parts = ledger.by("task").values()
    for name, whole in ledger.counts.as_dict().items():
        assert sum(part.as_dict()[name] for part in parts) == whole


def test_a_simulated_burst_adds_up_and_its_losses_are_found() -> None:
    run = simulate([Class(arrivals=burst(4000), limit_messages=1500)], faults=Faults(lose=3, expire=2, unconfirmed=4))
    ledger = account(
        offers=run.offers,
        effects=run.effects,
        dead_letters=run.dead_letters,
        in_queue=run.in_queue,
        expected_kinds=run.kinds,
    )
    counts = ledger.counts
    assert sorted(ledger.lost_ids()) == sorted(run.lost_ids)
    assert (counts.offered, counts.lost, counts.expired, counts.resolved_late) == (4000, 3, 2, 4)
    assert counts.completed == len(run.effects)
    assert counts.refused_then_accepted > 500

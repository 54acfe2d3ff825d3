"""When a run is over, and how a master adds up its workers."""

from __future__ import annotations

from harness.spike.standing import Report, Roster, Standing


def report(run_id: str = "r", *, over: bool = False, **counts: int) -> Report:
    return Report(run_id=run_id, standing=Standing(**counts), over=over)


def test_a_run_is_finished_when_all_is_settled_and_every_accepted_task_was_seen() -> None:
    assert Standing(planned=3, accepted=2, gave_up=1).finished
    assert not Standing(planned=3, accepted=2).finished
    assert not Standing(planned=3, accepted=3, outstanding=1).finished


def test_a_finished_run_is_good_only_if_every_task_did_its_work() -> None:
    assert Standing(planned=2, accepted=2, completed=2).good
    assert not Standing(planned=2, accepted=1, gave_up=1).good
    assert not Standing(planned=2, accepted=2, completed=1, failed=1).good


def test_each_worker_gets_a_part_of_its_own() -> None:
    parts = Roster("r", ["b", "a", "c"]).parts
    assert {name: (part.index, part.count, part.run_id) for name, part in parts.items()} == {
        "a": (0, 3, "r"),
        "b": (1, 3, "r"),
        "c": (2, 3, "r"),
    }


def test_a_run_is_over_when_every_worker_says_so_and_only_their_last_word_counts() -> None:
    roster = Roster("r", ["a", "b"])
    roster.note("a", report(over=True, planned=5, accepted=5))
    assert not roster.over
    roster.note("b", report(planned=5, accepted=3))
    assert not roster.over
    roster.note("b", report(over=True, planned=5, accepted=4, gave_up=1))
    assert roster.over
    assert roster.complete
    assert roster.standing() == Standing(planned=10, accepted=9, gave_up=1)


def test_reports_of_an_earlier_run_or_of_a_stranger_say_nothing() -> None:
    roster = Roster("r-2", ["a"])
    roster.note("a", report("r", over=True))
    roster.note("z", report("r-2", over=True))
    assert not roster.over
    assert not roster.complete


def test_a_run_that_nobody_publishes_is_over_at_once_but_not_good() -> None:
    roster = Roster("r", [])
    assert roster.over
    assert not roster.standing().good


def test_a_report_survives_its_way_to_the_master() -> None:
    sent = report(over=True, planned=3, refusals=2)
    assert Report.from_dict(sent.as_dict()) == sent

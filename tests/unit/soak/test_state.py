"""What a run keeps on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import InputError
from harness.soak import state
from harness.soak.ledger import Offer

WANTED = state.Wanted(tasks=1000, seed=3, faults=("kill-workers",), environment="prod,soak", at_least_per_second=300.0)


def test_a_run_reads_as_it_was_written(tmp_path: Path) -> None:
    run = state.begin(tmp_path, WANTED)
    again = state.load(run.directory)
    assert again == run
    assert again.mix() == run.mix()
    assert [one.fault.name for one in again.strikes()] == ["kill-workers"]


def test_offers_stay_when_their_file_is_opened_again(tmp_path: Path) -> None:
    with state.Offers(tmp_path / "offers.bin", 1000) as offers:
        offers[7], offers[8], offers[9] = Offer.ACCEPTED, Offer.OFFERED, Offer.ACCEPTED
    with state.Offers(tmp_path / "offers.bin", 1000) as offers:
        assert (offers[7], offers[8]) == (Offer.ACCEPTED, Offer.OFFERED)
        assert offers.first(Offer.OFFERED) == 8
        assert offers.first(Offer.OFFERED, 9) is None
        assert offers.first(Offer.NEVER, 7) == 10
        assert offers.read().count(Offer.ACCEPTED) == 2


def test_the_newest_run_without_a_verdict_goes_on(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no soak there"):
        state.unfinished(tmp_path)
    run = state.begin(tmp_path, WANTED)
    assert state.unfinished(tmp_path) == run
    assert state.unfinished(tmp_path, run.name) == run
    (run.directory / state.VERDICT).write_text("{}")
    with pytest.raises(InputError, match="no soak there"):
        state.unfinished(tmp_path)
    with pytest.raises(InputError, match="finished"):
        state.unfinished(tmp_path, run.name)


def test_what_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere.run\.json"):
        state.unfinished(tmp_path, "nowhere")


def test_a_line_torn_by_a_kill_says_nothing(tmp_path: Path) -> None:
    run = state.begin(tmp_path, WANTED)
    run.note(state.SAMPLES, {"t": 1})
    with (run.directory / state.SAMPLES).open("a") as file:
        file.write('{"t": ')
    assert run.lines(state.SAMPLES) == [{"t": 1}]

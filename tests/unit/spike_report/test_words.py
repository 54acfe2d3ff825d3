"""What a run says in words is what its numbers say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.spike import words
from harness.spike.result import Result
from tests.unit.spike_report import scenes

# In the process that makes the same runs for the page: each takes a second or two to make.
pytestmark = pytest.mark.xdist_group("report page")


@pytest.fixture(scope="module")
def campaign() -> Result:
    return scenes.campaign()


def test_a_passed_run(campaign: Result) -> None:
    verdict = words.verdict(campaign)
    assert (verdict.kind, verdict.headline) == ("passed", "Passed")
    assert verdict.sentence.startswith("All 10,000 tasks offered were done, the last one 4")
    assert "All 3 objectives were met" in verdict.sentence


def test_its_story(campaign: Result) -> None:
    story = " ".join(words.story(campaign))
    counts = campaign.counts
    assert f"{counts.refused_tasks:,} tasks were refused, {counts.refusals:,} times in all, and all of them" in story
    assert "Queue io was full (5,000 messages) from 3 s to" in story
    assert (
        "io went from 1 to 4 pods at 15 s. The first added pod was ready at 21 s. The reason: s0-rabbitmq-io" in story
    )
    assert "it could be 20 s" in story


def test_a_class_that_stayed_says_how_busy_it_was() -> None:
    calm = scenes.campaign(400)  # gone before the first sync
    (told,) = [part for part in words.story(calm) if part.startswith("io stayed")]
    share = max(cores for cores in calm.timeline.cpu_cores["io"] if cores) / scenes.IO.request_cores
    assert told == f"io stayed at 1 pod; its CPU came to at most {share * 100:.0f} % of what it requests."


def test_classes_without_work_are_told_once() -> None:
    story = words.story(scenes.idle_classes())
    assert "cpu and mixed had nothing to do and are left out of the charts." in story
    assert not [part for part in story if part.startswith(("cpu stayed", "mixed stayed"))]


def test_several_steps_are_one_sentence() -> None:
    slow = scenes.slow()
    (told,) = [part for part in words.story(slow) if part.startswith("io went")]
    assert told.startswith("io went from 1 to 4 pods at 15 s, to 5 at 75 s. The first added pod was ready at ")


def test_a_failed_run_says_the_worst_first() -> None:
    broken = scenes.broken()
    verdict = words.verdict(broken)
    assert verdict.kind == "failed"
    assert verdict.sentence.startswith("3 of 2,505 tasks accepted were lost without a trace.")
    assert "4 objectives and 1 rule were missed" in verdict.sentence
    story = " ".join(words.story(broken))
    assert "At 9 s: celery-io-worker-0 killed (SIGKILL with 200 tasks in work)." in story
    assert all(key in story for key in broken.lost_ids)
    assert "647 were accepted later and 1,495 never" in story


def test_a_missed_objective_without_loss() -> None:
    verdict = words.verdict(scenes.surge())
    assert verdict.sentence.startswith("1 objective was missed: p95 time to effect, surge compared with normal: ")
    assert "No accepted task was lost" in verdict.sentence


def test_a_run_that_was_ended_proves_nothing() -> None:
    verdict = words.verdict(scenes.interrupted())
    assert (verdict.kind, "proves nothing" in verdict.sentence) == ("incomplete", True)


def test_a_late_load_generator_is_told() -> None:
    surge = scenes.surge()
    late = replace(surge, publisher_lag_seconds={"p50": 0.1, "max": 4.25})
    assert "late by up to 4.2 s" in words.story(late)[0]
    assert "late" not in words.story(surge)[0]


def test_the_terminals_text(campaign: Result) -> None:
    text = words.verdict_text(campaign, report="reports/x/report.html")
    assert text.startswith("PASSED  email-campaign on local\n")
    assert "  pass  Time until the backlog was gone" in text
    assert "10,000 offered = 10,000 accepted + 0 refused + 0 unconfirmed" in text
    assert "reports/x/report.html" in text
    assert max(len(line) for line in text.splitlines()) <= 110


def test_the_terminal_names_what_was_missed() -> None:
    text = words.verdict_text(scenes.broken())
    assert "MISS  Accepted tasks that were lost" in text
    assert "MISS  Effects of tasks nobody offered" in text
    assert "4 of 5 rules every run must hold" in text


def test_names_cannot_steer_the_terminal(campaign: Result) -> None:
    assert "\x1b" not in words.verdict_text(replace(campaign, scenario="\x1b[2Jowned\r"))


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "unknown"), (0.04, "0 s"), (2.0, "2 s"), (42.64, "42.6 s"), (180.4, "180 s"), (1234, "1,234 s")],
)
def test_seconds(value: float | None, text: str) -> None:
    assert words.seconds(value) == text

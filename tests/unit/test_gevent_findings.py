"""What the events of sample calls say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import InputError
from harness.geventcheck import findings
from harness.geventcheck.findings import Finding, judge
from harness.geventcheck.samples import Call, load_calls

STACK = [
    ["/venv/lib/python3.11/site-packages/celery/app/trace.py", 5, "trace", "fun()"],
    ["/srv/shop/tasks.py", 12, "print_labels", "canvas.save()"],
    ["/venv/lib/python3.11/site-packages/reportlab/pdfdoc.py", 752, "encode", "zlib.compress(text)"],
]


def done(turn: str, blocked: float, *, computed: float = 0.0, error: str = "", call: int = 0) -> list[dict[str, Any]]:
    return [
        {"event": "begins", "call": call, "turn": turn},
        {"event": "done", "call": call, "turn": turn, "blocked_seconds": blocked, "computed_seconds": computed,
         "seen": blocked >= 0.1, "stack": STACK if blocked >= 0.1 else [], "error": error},
    ]  # fmt: skip


def only(events: list[dict[str, Any]]) -> Finding:
    return judge([Call("print", [], {})], events, tasks=["print"], threshold_seconds=0.1).calls[0]


def test_the_second_call_is_judged() -> None:
    found = only([*done("first", 1.5), *done("second", 0.02)])
    assert (found.verdict, found.first_blocked_seconds, found.blocked_seconds) == (findings.OK, 1.5, 0.02)


def test_a_block_names_the_applications_line_and_the_innermost() -> None:
    found = only([*done("first", 0.2), *done("second", 0.3, computed=0.29)])
    assert (found.verdict, found.computes) == (findings.BLOCKS, True)
    assert str(found.task_frame) == "/srv/shop/tasks.py:12 in print_labels: canvas.save()"
    assert found.call is not None
    assert found.call.function == "encode"


def test_a_block_that_uses_no_cpu_waits() -> None:
    assert only([*done("first", 0.2), *done("second", 0.3, computed=0.001)]).computes is False


def test_a_wait_that_nobody_saw_is_the_machines() -> None:
    events = [*done("first", 0.0), *done("second", 0.6, computed=0.01)]
    events[-1]["seen"] = False
    found = only(events)
    assert (found.verdict, found.blocked_seconds) == (findings.OK, 0.01)


def test_computing_needs_no_witness() -> None:
    events = [*done("first", 0.0), *done("second", 0.6, computed=0.2)]
    events[-1] |= {"seen": False, "stack": []}
    found = only(events)
    assert (found.verdict, found.computes, found.task_frame) == (findings.BLOCKS, True, None)


@pytest.mark.parametrize(("blocked", "verdict"), [(0.0999, findings.OK), (0.1, findings.BLOCKS)])
def test_the_threshold_itself_blocks(blocked: float, verdict: str) -> None:
    assert only([*done("first", 0.0), *done("second", blocked)]).verdict == verdict


def test_an_error_leaves_a_task_unproven() -> None:
    found = judge([Call("print", [], {})], done("first", 0.01, error="KeyError: 'x'"), tasks=[], threshold_seconds=0.1)
    assert found.to_dict()["failed"] == 1
    assert (found.passed, found.calls[0].verdict, found.calls[0].error) == (False, findings.FAILED, "KeyError: 'x'")


def test_a_call_that_never_ended_hangs_where_it_was_seen() -> None:
    found = only([{"event": "begins", "call": 0, "turn": "first"}, {"event": "held", "call": 0, "stack": STACK}])
    assert (found.verdict, found.blocked_seconds) == (findings.HANGS, None)
    assert found.task_frame is not None
    assert found.task_frame.line == 12


def test_tasks_without_a_sample_are_unchecked() -> None:
    found = judge([Call("b", [], {})], [*done("first", 0), *done("second", 0)], tasks="cba", threshold_seconds=0.1)
    assert (found.unchecked, found.passed) == (("a", "c"), True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("calls: []\n", "expected a list with at least one entry"),
        ("calls: [{tasks: a}]\n", "'task' is missing"),
        ("calls: [{task: a, args: 3}]\n", "args: is 3, expected a list"),
        ("calls: [{task: a, kwarg: {}}]\n", "unknown key (did you mean 'kwargs'?)"),
        ("calls: [{task: a}]\nmore: 1\n", "more: unknown key"),
    ],
)
def test_a_bad_file_is_refused_by_line_and_key(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "calls.yaml"
    file.write_text(text)
    with pytest.raises(InputError) as refused:
        load_calls(file)
    assert str(refused.value).startswith(f"{file}:1: ") or str(refused.value).startswith(f"{file}:2: ")
    assert message in str(refused.value)

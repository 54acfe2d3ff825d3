"""What a probe makes of the stacks it has seen."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import gevent

from harness.geventcheck import probe

TASK = ("tasks.py", 3, "send", "draw()")


def inside(function: str, line: int) -> tuple[str, int, str, str]:
    return ("draw.py", line, function, "...")


def test_what_a_call_was_mostly_in_counts_more_than_the_stack_seen_most_often() -> None:
    stacks = Counter({(TASK, inside("page", line)): 1 for line in range(20)})
    stacks[(TASK,)] = 3
    stacks[(TASK, inside("encode", 7))] = 4
    stacks[(TASK, inside("page", 2))] += 1
    assert probe.heaviest(stacks) == (TASK, inside("page", 2))
    stacks.update({(("tasks.py", line, "send", "..."),): 1 for line in range(40)})
    assert len(probe.heaviest(stacks)) == 1
    assert probe.heaviest(Counter()) == ()


def test_a_look_that_is_going_on_is_no_part_of_a_stack(tmp_path: Path) -> None:
    seen: list[Any] = []

    class Watching(probe.Watch):
        def _note(self, frame: Any) -> None:
            seen.append(probe.stack_of(sys._getframe()))

    watch = Watching(threshold_seconds=0.1, events=probe.Events(tmp_path / "events.jsonl"))
    watch.begin(0, gevent.getcurrent())
    watch.computes(0, None)
    (stack,) = seen
    assert stack[-1][2] == test_a_look_that_is_going_on_is_no_part_of_a_stack.__name__
    assert probe.stack_of(None) == ()

"""What the events of sample calls say of each task. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness.geventcheck.samples import Call

OK = "ok"
BLOCKS = "blocks"
FAILED = "failed"
HANGS = "hangs"
_LIBRARIES = ("/site-packages/", "/dist-packages/", "/lib/python")


@dataclass(frozen=True)
class Frame:
    """One frame of a stack."""

    file: str
    line: int
    function: str
    text: str

    def __str__(self) -> str:
        """Return the frame in one line."""
        return f"{self.file}:{self.line} in {self.function}" + (f": {self.text}" if self.text else "")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One sample call. Seconds are of the longest time the loop was held, None where nothing was measured.

    `task_frame` is the innermost frame of the application's own code, `call` the innermost of all; both are None where
    the monitor could not look, as in native code that keeps the interpreter to itself.
    """

    task: str
    verdict: str
    blocked_seconds: float | None = None
    first_blocked_seconds: float | None = None
    computes: bool | None = None
    task_frame: Frame | None = None
    call: Frame | None = None
    error: str = ""


@dataclass(frozen=True)
class Findings:
    """All sample calls, in their order, and the tasks that have none."""

    threshold_seconds: float
    calls: tuple[Finding, ...]
    unchecked: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether every sample ended well and held the loop for less than the threshold."""
        return all(one.verdict == OK for one in self.calls)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON document."""
        return {"passed": self.passed, "failed": sum(one.verdict == FAILED for one in self.calls), **asdict(self)}


def judge(
    calls: Sequence[Call], events: Iterable[Mapping[str, Any]], *, tasks: Iterable[str], threshold_seconds: float
) -> Findings:
    """Return what the probe's events say. A call that has begun and not ended hangs; the second call is the one judged.

    The first call may import modules and open connections, which a worker does once.
    """
    by_call: dict[int, list[Mapping[str, Any]]] = {number: [] for number in range(len(calls))}
    for event in events:
        if "call" in event:
            by_call[event["call"]].append(event)
    sampled = {call.task for call in calls}
    return Findings(
        threshold_seconds=threshold_seconds,
        calls=tuple(_finding(call, by_call[number], threshold_seconds) for number, call in enumerate(calls)),
        unchecked=tuple(sorted(set(tasks) - sampled)),
    )


def _finding(call: Call, events: Sequence[Mapping[str, Any]], threshold_seconds: float) -> Finding:
    done = [event for event in events if event["event"] == "done"]
    begun = sum(event["event"] == "begins" for event in events)
    if begun > len(done):
        held = [event for event in events if event["event"] == "held"]
        own, innermost = _frames(held[-1]["stack"] if held else [])
        return Finding(task=call.task, verdict=HANGS, task_frame=own, call=innermost)
    last = done[-1]
    blocked, computed = held_seconds(last, threshold_seconds), float(last["computed_seconds"])
    blocks = blocked >= threshold_seconds
    own, innermost = _frames(last["stack"] if blocks else [])
    return Finding(
        task=call.task,
        verdict=BLOCKS if blocks else FAILED if last["error"] else OK,
        blocked_seconds=blocked,
        first_blocked_seconds=held_seconds(done[0], threshold_seconds),
        computes=computed >= threshold_seconds if blocks else None,
        task_frame=own,
        call=innermost,
        error=last["error"],
    )


def held_seconds(done: Mapping[str, Any], threshold_seconds: float) -> float:
    """Return how long a call held the loop.

    A long time in which it neither computed nor was seen to hold on is that of a machine which had no time for either
    of the process' threads; what it computed then is all that is known.
    """
    blocked, computed = float(done["blocked_seconds"]), float(done["computed_seconds"])
    believed = blocked < threshold_seconds or computed >= threshold_seconds or done["seen"]
    return blocked if believed else computed


def _frames(stack: Sequence[Sequence[Any]]) -> tuple[Frame | None, Frame | None]:
    """Return the frame of the application and the innermost one; the same where the application itself holds on."""
    frames = [Frame(str(file), int(line), str(name), str(text)) for file, line, name, text in stack]
    own = [frame for frame in frames if is_own(frame.file)]
    return own[-1] if own else None, frames[-1] if frames else None


def is_own(file: str) -> bool:
    """Whether a file is the application's own rather than a library's."""
    return not file.startswith("<") and not any(part in file for part in _LIBRARIES)

"""Runs the probe in the application's interpreter, again and again where a call never gives the loop back."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness import processes, scratch
from harness.errors import HarnessError, InputError
from harness.geventcheck.findings import Findings, judge
from harness.geventcheck.samples import Call
from harness.spike.sections import closest

PROBE = Path(__file__).with_name("probe.py")
START_SECONDS = 120.0
"""For the interpreter to start and the application to be imported."""
MARGIN_SECONDS = 5.0
"""Beyond its limit, before a call counts as one that holds the loop for good."""
STOP_SECONDS = 0.0  # nothing to be kept
POLL_SECONDS = 0.05

Event = dict[str, Any]


def check(
    app: str,
    calls: Sequence[Call],
    *,
    threshold_seconds: float,
    call_seconds: float,
    python: Path | None = None,
    source: str,
) -> Findings:
    """Make each call twice in a gevent-patched process and return what was found.

    Raises:
        InputError: the application cannot be imported, has no such task, or has no gevent; `source` names the calls.
        HarnessError: the process ended by itself.
    """
    events: list[Event] = []
    first = 0
    while first < len(calls):
        job = {
            "app": app,
            "calls": [asdict(call) for call in calls[first:]],
            "threshold_seconds": threshold_seconds,
            "call_seconds": call_seconds,
        }
        found = _probe(job, python or Path(sys.executable))
        _check_tasks(app, calls, found, source)
        events += [{**event, "call": event["call"] + first} if "call" in event else event for event in found]
        first = len(calls) if found[-1]["event"] == "end" else events[-1]["call"] + 1  # past the one that hangs
    names = next(event["names"] for event in events if event["event"] == "tasks")
    return judge(calls, events, tasks=names, threshold_seconds=threshold_seconds)


def _probe(job: Mapping[str, Any], python: Path) -> list[Event]:
    """Run one process and return its events; the last is "end", or of a call that never ended."""
    with scratch.directory("check-gevent") as directory:
        job_file, events_file, log = directory / "job.json", directory / "events.jsonl", directory / "log"
        job_file.write_text(json.dumps(job))
        events_file.touch()
        process = processes.start([python, PROBE, job_file, events_file], log=log)
        try:
            hangs = _wait(process, events_file, call_seconds=job["call_seconds"])
        finally:
            processes.stop(process, grace_seconds=STOP_SECONDS)
        events = _read(events_file)
        if not hangs and (not events or events[-1]["event"] not in ("end", "tasks", "refused")):
            raise HarnessError(f"the process that makes the calls ended by itself ({_at(events)}):\n{_tail(log)}")
        return events


def _wait(process: Any, events_file: Path, *, call_seconds: float) -> bool:
    """Return True where a call went on beyond its limit, False once the process has ended."""
    size, changed, begun = 0, time.monotonic(), False
    while process.poll() is None:
        now_size = events_file.stat().st_size
        if now_size != size:
            size, changed = now_size, time.monotonic()
            begun = begun or any(event["event"] == "begins" for event in _read(events_file))
        allowed = call_seconds + MARGIN_SECONDS if begun else START_SECONDS
        if time.monotonic() - changed > allowed:
            if not begun:
                raise HarnessError(f"the application was not imported within {START_SECONDS:g} s")
            return True
        time.sleep(POLL_SECONDS)
    return False


def _read(file: Path) -> list[Event]:
    """Return the whole lines of the file; the last may be half written."""
    text = file.read_text(encoding="utf-8")
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def _check_tasks(app: str, calls: Sequence[Call], events: Sequence[Event], source: str) -> None:
    for event in events:
        if event["event"] == "refused":
            raise InputError(f"{app} cannot be checked: {event['message']}")
        if event["event"] == "tasks":
            for call in calls:
                if call.task not in event["names"]:
                    raise InputError(
                        f"{source}: {app} has no task {call.task!r}{closest(call.task, event['names'])}; "
                        f"it has: {', '.join(event['names']) or 'none'}"
                    )


def _at(events: Sequence[Event]) -> str:
    """Say how far it came."""
    begun = [event for event in events if event["event"] == "begins"]
    return f"in call {begun[-1]['call'] + 1}" if begun else "before the first call"


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-10:])

"""Runs sample calls of a Celery application in a gevent-patched process, and writes down how long each held the loop.

A program of its own: it runs in the interpreter that has the application, so it imports gevent, Celery and the standard
library only. `probe.py JOB EVENTS`: JOB is what harness.geventcheck.run wrote, EVENTS gets one JSON object a line.

A greenlet that wants to run every few milliseconds measures the longest time in which it could not. Meanwhile gevent's
monitoring thread looks at the loop's stack; so does a timer of CPU time, for what that thread has no turn to see on a
busy machine. Time that the machine gave to other processes is taken off (Linux says it).
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import time
import traceback
import uuid
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

BROKER_VARIABLES = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL")
NOWHERE = "memory://"  # what a task publishes stays in this process
LOOKS_A_BLOCK = 2  # gevent's monitor needs two looks without a switch in between
BEATS_A_BLOCK = 10
SHORTEST_BEAT_SECONDS = 0.005
MOST_FRAMES = 40
NANOSECONDS = 1e9

LOOKING = (__file__, "computes")
"""Where a signal begins: the monitoring thread may look at the loop while it takes one."""

Frame = tuple[str, int, str, str]  # file, line, function, text of the line
Stack = tuple[Frame, ...]  # outermost first


class Events:
    """The file of events; written by the loop and by the monitoring thread."""

    def __init__(self, path: Path) -> None:
        """Open the file for appending."""
        self._file = path.open("a", encoding="utf-8")

    def write(self, event: str, **details: Any) -> None:
        """Append one event at once: the process may be killed in the middle of a call."""
        self._file.write(json.dumps({"event": event, **details}) + "\n")
        self._file.flush()


class Watch:
    """What held the loop since `begin`, of which `longest_seconds` is told by the greenlet `beat`."""

    def __init__(self, *, threshold_seconds: float, events: Events) -> None:
        """`threshold_seconds`: a call that holds the loop for less does not count."""
        self.threshold_seconds = threshold_seconds
        self.longest_seconds = self.computed_seconds = 0.0
        self._stacks: Counter[Stack] = Counter()
        self._events = events
        self._greenlet: Any = None
        self._call: int | None = None
        self._seen = False

    def begin(self, call: int, greenlet: Any) -> None:
        """Forget what was, and count for this call and its greenlet from now on."""
        self._stacks.clear()
        self.longest_seconds = self.computed_seconds = 0.0
        self._call, self._greenlet, self._seen = call, greenlet, False

    def end(self) -> dict[str, Any]:
        """Return what the call did: the longest block, how much of it was computing, and the stack it was mostly in.

        `seen`: gevent's monitor found the loop held.
        """
        self._call = None
        return {
            "blocked_seconds": self.longest_seconds,
            "computed_seconds": self.computed_seconds,
            "seen": self._seen,
            "stack": shown(heaviest(self._stacks)),
        }

    def beat(self) -> None:
        """Run for ever as a greenlet."""
        import gevent

        pause = max(self.threshold_seconds / BEATS_A_BLOCK, SHORTEST_BEAT_SECONDS)
        while True:
            at, computed, waited = time.perf_counter(), time.thread_time(), run_queue_seconds()
            gevent.sleep(pause)
            others = run_queue_seconds() - waited  # the machine ran somebody else
            held = time.perf_counter() - at - pause - others
            if held > self.longest_seconds:
                self.longest_seconds = held
                self.computed_seconds = min(time.thread_time() - computed, held)

    def seen(self, event: Any) -> None:
        """Take an event of gevent's; runs in its monitoring thread while the loop is held."""
        from gevent.events import EventLoopBlocked

        if self._call is None or not isinstance(event, EventLoopBlocked):
            return
        self._seen = True
        self._note(sys._current_frames().get(event.hub.thread_ident))

    def computes(self, _signal: int, frame: FrameType | None) -> None:
        """Take a signal of the timer of CPU time, where a call's own greenlet uses it."""
        import gevent

        if self._call is not None and gevent.getcurrent() is self._greenlet:
            self._note(frame)

    def _note(self, frame: FrameType | None) -> None:
        """Keep a stack; write down the 1st, 2nd, 4th, 8th... of a call, in case it never gives the loop back."""
        stack = stack_of(frame)
        self._stacks[stack] += 1
        total = self._stacks.total()
        if total & (total - 1) == 0:
            self._events.write("held", call=self._call, stack=shown(stack))


def run_queue_seconds() -> float:
    """Return how long this thread was ready to run while the machine ran others; 0 where nobody says."""
    try:
        with open("/proc/thread-self/schedstat") as file:  # noqa: PTH123 -- a hundred times a second
            return int(file.read().split()[1]) / NANOSECONDS
    except (OSError, IndexError, ValueError):
        return 0.0


def stack_of(frame: FrameType | None) -> Stack:
    """Return the frames of a stack, outermost first, without those of a look at it that was going on."""
    summary = traceback.extract_stack(frame) if frame is not None else []
    stack = ((one.filename, one.lineno or 0, one.name, one.line or "") for one in summary)
    return tuple(itertools.takewhile(lambda one: function_of(one) != LOOKING, stack))


def function_of(frame: Frame) -> tuple[str, str]:
    """Return the file and the function of a frame, in whatever line."""
    return frame[0], frame[2]


def shown(stack: Stack) -> list[list[Any]]:
    """Return a stack for an event: its innermost frames."""
    return [list(frame) for frame in stack[-MOST_FRAMES:]]


def heaviest(stacks: Counter[Stack]) -> Stack:
    """Return a stack on the path along which most were seen: from each function into the one most were in from there.

    What computes is seldom seen twice in the very same lines, so the stack seen most often may be one of a short part.
    """
    left, depth, ended = stacks, 0, False
    while left and not ended:
        into: dict[tuple[str, str] | None, Counter[Stack]] = {}
        for stack, count in left.items():
            function = function_of(stack[depth]) if len(stack) > depth else None
            into.setdefault(function, Counter())[stack] = count
        most = max(into, key=lambda function: (into[function].total(), function is not None))
        left, depth, ended = into[most], depth + 1, most is None
    return left.most_common(1)[0][0] if left else ()


def find(name: str) -> Any:
    """Return the application `celery -A name` would run, its tasks loaded."""
    from celery.app.utils import find_app

    sys.path.insert(0, str(Path.cwd()))  # as `celery -A` does
    app = find_app(name)
    app.loader.import_default_modules()
    app.finalize()
    return app


def call_once(app: Any, call: dict[str, Any], watch: Watch, number: int, *, limit_seconds: float) -> dict[str, Any]:
    """Make one call, and return what it did; `error` is empty where it ended well."""
    import gevent

    task = app.tasks[call["task"]]
    greenlet = gevent.spawn(
        task.apply, args=call["args"], kwargs=call["kwargs"], task_id=str(uuid.uuid4()), throw=False
    )
    watch.begin(number, greenlet)
    greenlet.join(timeout=limit_seconds)
    ended = greenlet.ready()
    gevent.sleep(max(watch.threshold_seconds / BEATS_A_BLOCK, SHORTEST_BEAT_SECONDS) * 2)  # the last beat of the call
    found = watch.end()
    if not ended:
        greenlet.kill(block=False)
        return {**found, "error": f"not done after {limit_seconds:g} s"}
    return {**found, "error": error_of(greenlet)}


def error_of(greenlet: Any) -> str:
    """Return what ended a call that ended badly, empty for one that ended well."""
    raised = greenlet.exception
    if raised is None and greenlet.value.failed():
        raised = greenlet.value.result
    return "" if raised is None else f"{type(raised).__name__}: {raised}"


def main(job_file: str, events_file: str) -> int:
    """Make every call twice: the first may import and connect, which a worker does once."""
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    events = Events(Path(events_file))
    try:
        from gevent import monkey
    except ImportError as error:
        events.write("refused", message=f"gevent cannot be imported by {sys.executable}: {error}")
        return 1
    monkey.patch_all()
    import gevent
    import gevent.events

    os.environ.update(dict.fromkeys(BROKER_VARIABLES, NOWHERE))
    try:
        app = find(job["app"])
    except Exception as error:
        events.write("refused", message=f"{type(error).__name__}: {error}", where=traceback.format_exc(limit=-1))
        return 1
    app.conf.update(broker_url=NOWHERE, broker_read_url=NOWHERE, broker_write_url=NOWHERE)
    events.write("tasks", names=sorted(name for name in app.tasks if not name.startswith("celery.")))
    if not {call["task"] for call in job["calls"]} <= set(app.tasks):
        return 0  # the reader of the events says which

    watch = Watch(threshold_seconds=job["threshold_seconds"], events=events)
    gevent.sleep(0)  # the monitoring thread ends by itself if it looks at a hub that has not begun to run
    gevent.config.monitor_thread = True
    gevent.config.max_blocking_time = watch.threshold_seconds / LOOKS_A_BLOCK
    gevent.config.print_blocking_reports = False
    gevent.events.subscribers.append(watch.seen)
    gevent.get_hub().start_periodic_monitoring_thread()
    signal.signal(signal.SIGPROF, watch.computes)
    signal.setitimer(signal.ITIMER_PROF, *[watch.threshold_seconds / LOOKS_A_BLOCK] * 2)
    gevent.spawn(watch.beat)
    for number, call in enumerate(job["calls"]):
        for turn in ("first", "second"):
            events.write("begins", call=number, turn=turn)
            done = call_once(app, call, watch, number, limit_seconds=job["call_seconds"])
            events.write("done", call=number, turn=turn, **done)
            if done["error"]:
                break
    events.write("end")
    return 0


if __name__ == "__main__":
    code = main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # greenlets and threads that an application left behind must not hold up the end

"""Many tasks at once: sent without waiting for each confirm, yet every one is answered for."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from amqp.exceptions import ChannelError
from celery import Celery, Signature
from kombu.exceptions import OperationalError

from celery_workers.backoff import Backoff, Uniform
from celery_workers.calls import TaskCall, as_call
from celery_workers.counters import QueueCounters, counted_as
from celery_workers.errors import PublishError, QueueFull, Unconfirmed, Unreachable, Unroutable, Unsendable, may_retry
from celery_workers.lines import LinePool, NoLine
from celery_workers.messages import Message
from celery_workers.outcomes import Outcome
from celery_workers.pipelined import PipelinedLine
from celery_workers.senders import Sender
from celery_workers.topology import Topology
from celery_workers.whenfull import Wait, WhenFull

# Answers are looked for at least this often while there is still something to send.
GLANCE_EVERY_SECONDS = 0.02
GLANCE_SECONDS = 0.001


class _Entry:
    """A task that has no outcome yet."""

    __slots__ = ("alone", "attempts", "dead", "doubt", "first_at", "message", "position", "queue", "returned")

    def __init__(self, message: Message, position: int, first_at: float) -> None:
        self.message = message
        self.position = position
        self.first_at = first_at
        self.attempts = 0
        self.alone = False  # to be sent with nothing else under way, so that an error has but one cause
        self.doubt: PublishError | None = None  # of an attempt that was never answered
        self.returned: str | None = None  # why the broker handed the message back
        self.dead: Message | None = None  # its copy for the dead-letter queue, once it was refused
        self.queue: str | None = None

    @property
    def task_id(self) -> str:
        return self.message.task_id


class _LineLost(Exception):  # noqa: N818 - says what happened
    """The connection or its channel is gone, or silent; `cause` says why."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(str(cause) or type(cause).__name__)
        self.cause = cause


BulkLines = LinePool[PipelinedLine[_Entry]]


@dataclass(frozen=True, kw_only=True)
class BulkSettings:
    """How one `publish_many` goes about it."""

    app: Celery
    lines: BulkLines
    topology: Topology
    counters: QueueCounters
    backoff: Backoff
    rng: Uniform
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    timeout_seconds: float
    deadline_seconds: float
    window: int
    when_full: WhenFull

    def __post_init__(self) -> None:
        if self.window < 1:
            raise ValueError(f"window must be at least 1, not {self.window}")


class Bulk:
    """One run over an input. At most `window` tasks are in its hands at any time: under way, or waiting to go again."""

    def __init__(self, tasks: Iterable[TaskCall | Signature], settings: BulkSettings) -> None:
        self._input = enumerate(tasks)
        self._may_block = not isinstance(tasks, list | tuple)  # before the next task, as long as it likes
        self._set = settings
        self._ended = False  # the input
        self._broken: Exception | None = None  # what the input raised
        self._waiting: list[tuple[float, int, _Entry]] = []  # a heap by due time
        self._numbers = itertools.count()
        self._outcomes: deque[Outcome] = deque()
        self._silent_seconds = 0.0  # waited since the last answer
        self._read_at = 0.0
        self._one_alone = False  # the task under way is to be the only one
        self._losses = 0  # connections lost since the last answer

    def outcomes(self) -> Iterator[Outcome]:
        """Send everything; yield what became of each, as it becomes known. What the input raises comes last."""
        while self._waiting or self._load():
            self._pause()
            try:
                with self._set.lines.line() as line:
                    yield from self._over(line)
            except NoLine as error:
                self._unreached(str(error))
            except _LineLost as lost:
                self._lost(line, lost.cause)
            yield from self._settled()
        if self._broken is not None:
            raise self._broken

    def _over(self, line: PipelinedLine[_Entry]) -> Iterator[Outcome]:
        self._silent_seconds = 0.0
        self._one_alone = False
        sender = Sender(self._set.app, line)
        while True:
            if self._outcomes:
                self._flush(line)  # who reads them may take long
                yield from self._settled()
            entry = self._next(line)
            if entry is not None:
                self._check(line, entry)
                self._offer(line, entry, sender)
                if self._set.clock() - self._read_at > GLANCE_EVERY_SECONDS:
                    self._read(line, GLANCE_SECONDS)
            elif line.confirms:
                self._read(line, self._patience_seconds())
            elif self._waiting:
                self._set.sleep(max(self._waiting[0][0] - self._set.clock(), 0.0))
            elif not self._outcomes:
                return

    def _pause(self) -> None:
        """Wait before a connection is taken: until something is due, and longer each time that one was lost."""
        seconds = max(self._waiting[0][0] - self._set.clock(), 0.0)
        if self._losses:
            seconds = max(seconds, self._set.backoff.delay_seconds(self._losses, self._set.rng))
        self._set.sleep(seconds)

    def _settled(self) -> Iterator[Outcome]:
        while self._outcomes:
            yield self._outcomes.popleft()

    # What to send next

    def _next(self, line: PipelinedLine[_Entry]) -> _Entry | None:
        """Return what to send now: what waits and is due, else the input's next while there is room."""
        if self._one_alone:
            return None
        nothing_due = not self._waiting or self._waiting[0][0] > self._set.clock()
        if nothing_due and not (self._has_room(line) and self._load()):
            return None
        if self._waiting[0][2].alone and line.confirms:
            return None
        return heapq.heappop(self._waiting)[2]

    def _has_room(self, line: PipelinedLine[_Entry]) -> bool:
        if len(line.confirms) + len(self._waiting) >= self._set.window:
            return False
        if self._may_block and not self._ended:
            self._flush(line)  # nothing that was sent is to wait for what comes next
        return True

    def _load(self) -> bool:
        """Take one task from the input, to be sent at once; False when there is none."""
        if self._ended:
            return False
        try:
            position, task = next(self._input)
            call = as_call(task)
        except StopIteration:
            self._ended = True
            return False
        except Exception as error:  # the caller's own; what is under way gets its outcome first
            self._ended, self._broken = True, error
            return False
        now = self._set.clock()
        self._wait(_Entry(Message(self._set.app, call, self._set.topology), position, now), now)
        return True

    def _wait(self, entry: _Entry, due: float) -> None:
        heapq.heappush(self._waiting, (due, next(self._numbers), entry))

    # Sending and listening

    def _check(self, line: PipelinedLine[_Entry], entry: _Entry) -> None:
        """Look at a connection that may have been closed while there was nothing to hear: no task need be in doubt."""
        if not line.confirms and not line.is_alive():
            self._wait(entry, self._set.clock())
            raise _LineLost(ConnectionError("the connection was closed"))

    def _offer(self, line: PipelinedLine[_Entry], entry: _Entry, sender: Sender) -> None:
        entry.attempts += 1
        self._one_alone = entry.alone
        entry.returned = entry.queue = None
        if entry.attempts > 1:
            self._count("retried", entry)
        line.start(entry)
        try:
            sender.send(entry.dead or entry.message)
        except Exception as error:
            if line.started:
                raise _LineLost(_cause(error)) from error
            self._one_alone = False
            self._unsendable(entry, error)

    def _flush(self, line: PipelinedLine[_Entry]) -> None:
        try:
            line.flush()
        except line.errors as error:
            raise _LineLost(error) from error

    def _read(self, line: PipelinedLine[_Entry], timeout_seconds: float) -> None:
        started = self._set.clock()
        try:
            line.read(timeout_seconds)
        except line.errors as error:
            raise _LineLost(error) from error
        self._read_at = self._set.clock()
        self._silent_seconds += self._read_at - started
        self._take_answers(line)
        if line.confirms and self._silent_seconds >= self._set.timeout_seconds:
            raise _LineLost(TimeoutError(f"silent for {self._set.timeout_seconds:g} s"))

    def _patience_seconds(self) -> float:
        """How long to listen: until the broker counts as silent, or something waiting is due."""
        left = self._set.timeout_seconds - self._silent_seconds
        if self._waiting:
            left = min(left, self._waiting[0][0] - self._set.clock())
        return max(left, GLANCE_SECONDS)

    # What became of them

    def _take_answers(self, line: PipelinedLine[_Entry]) -> None:
        for entry, accepted in line.answers():
            self._silent_seconds, self._losses = 0.0, 0
            entry.alone = self._one_alone = False
            self._answered(entry, accepted=accepted)

    def _answered(self, entry: _Entry, *, accepted: bool) -> None:
        refusal = entry.message.refused(self._set.topology) if entry.dead or not accepted else None
        if refusal is not None:
            self._refused(entry, refusal, kept=accepted and entry.returned is None)
        elif entry.returned is not None:
            self._failed(entry, entry.message.error(Unroutable, entry.returned))
        else:
            self._count("accepted", entry)
            self._outcomes.append(Outcome(entry.message.call, entry.task_id, entry.position, entry.attempts))

    def _refused(self, entry: _Entry, refusal: QueueFull, *, kept: bool) -> None:
        """Put a refused task where its queue's refused tasks belong; `kept` says that this has just been done."""
        dead = self._set.topology.refused_to.get(refusal.queue)
        if kept:
            self._failed(entry, entry.message.stored(refusal))
        elif dead is None or entry.dead is not None:
            entry.dead = None
            self._failed(entry, refusal)
        else:
            entry.dead = entry.message.dead(dead, refusal.queue)
            self._wait(entry, self._set.clock())

    def _lost(self, line: PipelinedLine[_Entry], cause: BaseException) -> None:
        """Judge what was under way. A closed channel is one message's fault, but the broker does not say whose."""
        self._take_answers(line)
        if not isinstance(cause, ChannelError):
            self._losses += 1
        entries = line.confirms.take_all()
        for entry in entries:
            if entry.returned is not None:
                self._failed(entry, entry.message.error(Unroutable, entry.returned))
            elif isinstance(cause, ChannelError) and len(entries) > 1:
                self._count("unconfirmed", entry)
                entry.doubt = entry.message.verdict(TimeoutError("the channel was closed"), self._set.topology)
                entry.alone = True
                self._wait(entry, self._set.clock())
            else:
                self._failed(entry, entry.message.verdict(cause, self._set.topology))

    def _unreached(self, reason: str) -> None:
        """Without a connection every task that is due has failed once; each trying for itself would take for ever."""
        while len(self._waiting) < self._set.window and self._load():
            pass
        now, waiting = self._set.clock(), self._waiting
        self._waiting = [one for one in waiting if one[0] > now]
        heapq.heapify(self._waiting)
        for entry in (one[2] for one in waiting if one[0] <= now):
            entry.attempts += 1
            self._failed(entry, entry.message.error(Unreachable, reason))

    def _unsendable(self, entry: _Entry, cause: Exception) -> None:
        error = entry.message.error(Unsendable, f"cannot be made into a message: {cause}")
        error.__cause__ = cause
        self._give_up(entry, error)

    def _failed(self, entry: _Entry, error: PublishError) -> None:
        self._set.counters.add(*counted_as(error), queue=error.queue)
        if isinstance(error, Unconfirmed):
            entry.doubt = error
        if not may_retry(error):
            self._give_up(entry, error)
        elif not isinstance(self._set.when_full, Wait):
            self._set.when_full.keep(kept_call(entry.message))
            self._count("kept", entry, error)
            self._outcomes.append(Outcome(entry.message.call, entry.task_id, entry.position, entry.attempts, kept=True))
        else:
            due = self._set.clock() + self._set.backoff.delay_seconds(entry.attempts, self._set.rng)
            if due > entry.first_at + patience_seconds(error, self._set.when_full, self._set.deadline_seconds):
                self._give_up(entry, error)
            else:
                self._wait(entry, due)

    def _give_up(self, entry: _Entry, error: PublishError) -> None:
        # A task sent alone has its own verdict; any other may stand in the queue from an attempt nobody answered.
        final = error if entry.doubt is None or entry.alone else entry.doubt
        final.attempts = entry.attempts
        self._count("gave_up", entry, error)
        self._outcomes.append(Outcome(entry.message.call, entry.task_id, entry.position, entry.attempts, final))

    def _count(self, name: str, entry: _Entry, error: PublishError | None = None) -> None:
        queue = error.queue if error is not None else entry.queue
        self._set.counters.add(name, queue=queue if queue is not None else entry.message.queue())


def kept_call(message: Message) -> TaskCall:
    """Return the call as a keeper takes it, with the id it was offered under."""
    call = message.call
    return TaskCall(call.task, args=call.args, kwargs=call.kwargs, task_id=message.task_id, options=call.options)


def patience_seconds(error: PublishError, when_full: Wait, deadline_seconds: float) -> float:
    """Return how long after its first attempt a task with this error may be offered again."""
    if isinstance(error, QueueFull) and when_full.seconds is not None:
        return when_full.seconds
    return deadline_seconds


def _cause(error: Exception) -> BaseException:
    """Return what is behind Celery's wrapping of transport errors."""
    return (error.__cause__ or error) if isinstance(error, OperationalError) else error

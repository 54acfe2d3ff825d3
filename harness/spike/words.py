"""A run in words: the verdict, what happened, the text a terminal shows. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.spike.timeline import first_added_ready, spans

if TYPE_CHECKING:
    from harness.spike.result import Result

NOTABLE_EVENTS = ("killed", "restarted", "exited", "unhealthy")
TERMINAL_COLUMNS = 100
NAMED_EVENTS = 6  # of these are told one by one
BURST_SECONDS = 1.0  # a load that is all due within this is called a burst
LATE_SECONDS = 1.0  # a load generator later than this shaped a softer spike than planned


@dataclass(frozen=True)
class Verdict:
    """`kind` is passed, failed or incomplete; the sentence stands for itself."""

    kind: str
    headline: str
    sentence: str


def verdict(result: Result) -> Verdict:
    """Say in one sentence how the run ended, worst first."""
    told = _verdict(result)
    if not result.foretold:
        return told
    return replace(told, headline={"passed": "Would pass", "failed": "Would fail"}.get(told.kind, told.headline))


def _verdict(result: Result) -> Verdict:
    counts = result.counts
    done = f"{counts.completed:,} of {counts.offered:,} offered tasks were done"
    if result.interrupted:
        sentence = f"The run was ended before everything had come to its end, so it proves nothing: {done}."
        return Verdict("incomplete", "Not finished", sentence)
    if result.passed:
        return Verdict("passed", "Passed", _passed_sentence(result))
    if counts.lost:
        lost = f"{counts.lost:,} of {_tasks(counts.accepted)} accepted {_were(counts.lost)} lost without a trace."
        return Verdict("failed", "Failed", f"{lost} {_missed(result)}")
    return Verdict("failed", "Failed", f"{_missed(result)} No accepted task was lost; {done}.")


def _passed_sentence(result: Result) -> str:
    counts = result.counts
    everything = counts.completed == counts.offered
    head = (
        f"All {counts.offered:,} tasks offered were done"
        if everything
        else f"{counts.completed:,} of {counts.offered:,} tasks offered were done"
    )
    drained = "" if result.drain_seconds is None else f", the last one {_after_last_due(result)}"
    again = " None was lost, none was done twice." if not result.duplicated else " None was lost."
    number = len(result.objectives)
    met = " The objective was met." if number == 1 else f" All {number} objectives were met." if number else ""
    return f"{head}{drained}.{again}{met}"


def _after_last_due(result: Result) -> str:
    since = "the burst began" if result.last_due_seconds < BURST_SECONDS else "the last was due"
    return f"{seconds(result.drain_seconds)} after {since}"


def _missed(result: Result) -> str:
    missed, rules = result.missed, sum(not rule.passed for rule in result.rules)
    parts = [_count(number, noun) for number, noun in ((len(missed) - rules, "objective"), (rules, "rule")) if number]
    told = "; ".join(
        f"{outcome.title.lower()}: {_measured(outcome)} ({outcome.target} wanted)" for outcome in missed[:3]
    )
    more = "" if len(missed) <= 3 else f"; and {len(missed) - 3} more"
    return f"{' and '.join(parts)} {_were(len(missed))} missed: {told}{more}."


def _measured(outcome: Any) -> str:
    return f"{outcome.measured_words}, {outcome.reason}" if outcome.reason else str(outcome.measured_words)


# --- what happened ---------------------------------------------------------------------------------------------------


def story(result: Result) -> list[str]:
    """Tell the run in order: load, queues, pods, mishaps, latency, end, what does not belong."""
    parts = [
        _load(result),
        *_queues(result),
        *_scaling(result),
        *_mishaps(result),
        *_latency(result),
        *_end(result),
        *_oddities(result),
    ]
    return [part for part in parts if part]


def _load(result: Result) -> str:
    line, counts = result.timeline, result.counts
    sending = [second for second, value in zip(line.seconds, line.arrivals, strict=True) if value]
    if not sending:
        return "No task was offered."
    took = sending[-1] - sending[0] + 1
    busiest = max(value for value in line.arrivals if value is not None)
    lag = result.publisher_lag_seconds.get("max") or 0.0
    tasks = f"{_tasks(counts.offered)} {_were(counts.offered)}"
    if result.last_due_seconds < BURST_SECONDS:
        return f"{tasks} due at once; it took {took} s to offer each a first time."
    text = f"{tasks} offered within {took} s, at most {busiest:,.0f} in one second."
    if lag > LATE_SECONDS:
        return f"{text} The load generator was late by up to {seconds(lag)}, so the spike was softer than planned."
    return text


def _queues(result: Result) -> Iterable[str]:
    line = result.timeline
    for queue, counts in result.by_queue.items():
        limit = (result.setup.get("queues", {}).get(queue) or {}).get("max_length_messages")
        times = spans(line.seconds, line.refusals.get(queue, ()))
        if times:
            yield f"{_full(queue, limit, times)}: {_refused(counts)}."
            continue
        peak = max((value for value in line.queues.get(queue, {}).get("ready", ()) if value is not None), default=None)
        if peak is not None:
            bound = f" of at most {limit:,}" if limit else ""
            held = _count(int(peak), "waiting message")
            yield f"At its fullest, queue {queue} held {held}{bound}; it refused nothing."


def _full(queue: str, limit: int | None, times: Sequence[tuple[int, int]]) -> str:
    bound = f" ({limit:,} messages)" if limit else ""
    between = f"from {times[0][0]} s to {times[-1][1]} s"
    return f"Queue {queue} was full{bound} {between}" + ("" if len(times) == 1 else f", in {len(times)} stretches")


def _refused(counts: Any) -> str:
    tasks, refusals = int(counts["refused_tasks"]), int(counts["refusals"])
    later, finally_, stored = (
        int(counts[key]) for key in ("refused_then_accepted", "refused_finally", "refused_stored")
    )
    times = "once each" if refusals == tasks else f"{refusals:,} times in all"
    text = f"{_tasks(tasks)} {_were(tasks)} refused, {times}"
    if later == tasks:
        return f"{text}, and all of them were accepted later"
    kept = f", {stored:,} of which the dead-letter queue kept" if stored else ""
    return f"{text}; {later:,} were accepted later and {finally_:,} never{kept}"


def idle_classes(result: Result) -> list[str]:
    """Return the worker classes that this run gave nothing to do and that were not scaled."""
    scaled = {event["deployment"] for event in result.scale_events}
    return [
        name
        for name, each in result.setup.get("classes", {}).items()
        if each.get("deployment") not in scaled and not result.by_queue.keys() & set(each.get("queues", ()))
    ]


def _scaling(result: Result) -> Iterable[str]:
    classes = {each.get("deployment"): name for name, each in result.setup.get("classes", {}).items()}
    idle = idle_classes(result)
    for deployment, series in result.timeline.replicas.items():
        name = classes.get(deployment, deployment)
        events = [event for event in result.scale_events if event["deployment"] == deployment]
        if events:
            yield _steps(result, name, events)
            continue
        counts = {value for value in series["desired"] if value is not None}
        if len(counts) == 1 and name not in idle:
            share = _busiest_share(result, name)
            used = "" if share is None else f"; its CPU came to at most {share * 100:.0f} % of what it requests"
            yield f"{name} stayed at {_count(int(counts.pop()), 'pod')}{used}."
    if idle:
        yield f"{' and '.join(idle)} had nothing to do and {'is' if len(idle) == 1 else 'are'} left out of the charts."


def _steps(result: Result, name: str, events: Sequence[Mapping[str, Any]]) -> str:
    first, *others = events
    steps = [f"from {first['before']} to {first['after']} pods at {seconds(first['t'])}"]
    steps += [f"to {event['after']} at {seconds(event['t'])}" for event in others]
    ready = first_added_ready(result.timeline).get(first["deployment"])
    added = "" if ready is None else f" The first added pod was ready at {ready} s."
    why = "The reasons stand under Scale decisions." if others else f"The reason: {first['reason']}."
    return f"{name} went {', '.join(steps)}.{added} {why}"


def _busiest_share(result: Result, name: str) -> float | None:
    """The most a class used of the CPU its running pods request; None where one of the two is not known."""
    described = result.setup.get("classes", {}).get(name, {})
    request = described.get("cpu_request_cores")
    running = result.timeline.replicas.get(described.get("deployment", ""), {}).get("running", ())
    used = result.timeline.cpu_cores.get(name, ())
    shares = [
        cores / (pods * request) for cores, pods in zip(used, running, strict=False) if cores and pods and request
    ]
    return max(shares, default=None)


def _mishaps(result: Result) -> Iterable[str]:
    events = [event for event in result.events if event["kind"] in NOTABLE_EVENTS]
    for event in events[:NAMED_EVENTS]:
        detail = f" ({event['message']})" if event["message"] else ""
        yield f"At {seconds(event['t'])}: {event['subject']} {event['kind']}{detail}."
    if len(events) > NAMED_EVENTS:
        yield f"{len(events) - NAMED_EVENTS:,} more such events are in result.json."


def _latency(result: Result) -> Iterable[str]:
    times = result.latency_seconds
    if times.get("p50") is None:
        return
    yield (
        f"From first attempt to effect, half of the tasks took up to {seconds(times['p50'])}, 95 % up to "
        f"{seconds(times['p95'])}, the slowest {seconds(times['max'])}."
    )


def _end(result: Result) -> Iterable[str]:
    if result.drain_seconds is None:
        return
    ideal = result.ideal_drain_seconds
    best = "" if not ideal else f"; with every pod there from the start it could be {seconds(ideal)}"
    yield f"The last effect was seen {_after_last_due(result)}{best}."


def _oddities(result: Result) -> Iterable[str]:
    counts = result.counts
    if result.duplicated:
        told = ", ".join(f"{number:,} {kind}" for kind, number in result.duplicates.items() if number)
        yield f"Effects that happened again: {told}. Mail is sent at least once, so a kill or a cut may repeat it."
    if counts.resolved_late:
        yield (
            f"{_tasks(counts.resolved_late)} {_were(counts.resolved_late)} in the broker although no confirm had come; "
            f"they count as accepted."
        )
    if counts.dead_lettered:
        kinds = ("expired", "failed", "poison", "dropped")
        told = ", ".join(f"{getattr(counts, kind):,} {kind}" for kind in kinds if getattr(counts, kind))
        yield f"{_tasks(counts.dead_lettered)} ended in a dead-letter queue: {told}."
    if result.lost_ids:
        yield f"Ids of the lost: {_listed(result.lost_ids, counts.lost)}."
    if result.unknown_effects:
        yield f"Effects of tasks nobody offered: {result.unknown_effects:,}."
    if result.unknown_messages:
        yield f"Messages in the broker that belong to no task of this run: {result.unknown_messages:,}."
    if result.faults:
        yield f"Contradictions: {_listed(result.faults, len(result.faults))}."
    if result.torn_lines:
        yield f"Torn last lines left out of the journals, whose writer was killed: {result.torn_lines:,}."


# --- terminal --------------------------------------------------------------------------------------------------------


def verdict_text(result: Result, *, report: str | None = None) -> str:
    """Return the lines a terminal shows at the end of a run, without markup."""
    told = verdict(result)
    counts = result.counts
    lines = [
        f"{told.headline.upper()}  {result.scenario} on {result.runtime}",
        *textwrap.wrap(told.sentence, TERMINAL_COLUMNS),
        "",
        *outcome_lines(result),
        "",
        f"  ledger  {counts.offered:,} offered = {counts.accepted:,} accepted + {counts.refused_finally:,} refused "
        f"+ {counts.unconfirmed:,} unconfirmed",
        f"          {counts.accepted:,} accepted = {counts.completed:,} done + {counts.dead_lettered:,} dead-lettered "
        f"+ {counts.lost:,} lost + {counts.in_flight:,} unfinished",
        f"          {counts.refusals:,} refusals of {counts.refused_tasks:,} tasks, "
        f"{counts.refused_then_accepted:,} of them accepted later; {result.duplicated:,} effects again",
    ]
    if report:
        lines += ["", f"  report  {report}"]
    return printable("\n".join([*lines, f"  next    {next_step(result)}"]))


def next_step(result: Result) -> str:
    """Say what a reader would do now."""
    if result.interrupted:
        return f"look at the logs beside the report, then run it again: {result.command}"
    if result.passed:
        return "harness report --open shows the timeline"
    if result.counts.lost or result.counts.in_flight or result.faults:
        return "look up the ids named in the report in the publisher journals and the workers' logs beside it"
    return "harness report --open shows when it was missed; the scale decisions say what held pods back"


def outcome_lines(result: Result) -> list[str]:
    """Return a line for each objective and for each broken rule, and one for the rules that held."""
    shown = [*result.objectives, *(rule for rule in result.rules if not rule.passed)]
    if not shown:
        return ["  no objectives"]
    title, measured = (
        max(len(text) for text in column) for column in zip(*[(o.title, o.measured_words) for o in shown], strict=True)
    )
    lines = []
    for outcome in shown:
        mark = "pass" if outcome.passed else "MISS"
        reason = f"  {outcome.reason}" if outcome.reason else ""
        lines.append(
            f"  {mark}  {outcome.title:<{title}}  {outcome.measured_words:>{measured}}  ({outcome.target}){reason}"
        )
    held = sum(rule.passed for rule in result.rules)
    return [
        *lines,
        f"  {'pass' if held == len(result.rules) else '    '}  {held} of {len(result.rules)} rules every run must hold",
    ]


# --- small words -----------------------------------------------------------------------------------------------------


def seconds(value: float | None) -> str:
    """Write a time: whole seconds from 100 s on, tenths below."""
    if value is None:
        return "unknown"
    if abs(value) >= 100:
        return f"{value:,.0f} s"
    return f"{value:.1f}".rstrip("0").rstrip(".") + " s"


def printable(text: str) -> str:
    """Replace control characters other than line breaks, so that a name cannot steer the terminal."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "\ufffd" for letter in text)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _tasks(number: int) -> str:
    return _count(number, "task")


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def _listed(items: Sequence[str], total: int) -> str:
    more = total - len(items)
    return ", ".join(items) + (f" and {more:,} more" if more > 0 else "")

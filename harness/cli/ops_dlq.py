"""`harness ops dlq`: dead letters looked at, put back, taken out."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from harness.cli.ops_options import target_options
from harness.errors import HarnessError, InputError
from harness.ops import amounts, letterbox, letters, replay_journal, shared, target
from harness.ops.letters import Letter, Selection
from harness.ops.target import Target, Where

EXIT_LEFT = 1
SHOWN_IDS = 20


def selection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which dead letters are meant."""
    options = [
        click.option("--task", "tasks", multiple=True, metavar="NAME", help="Only this task's. May be repeated."),
        click.option("--reason", "reasons", multiple=True, metavar="WORD",
                     help="Only those that died so, such as expired, maxlen, failed, poison. May be repeated."),
        click.option("--ids", metavar="ID,...", default="", help="Only these tasks, by their ids."),
        click.option("--limit", type=click.IntRange(1), help="So many at most."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def command() -> None:
    """Look at dead letters, put them back to work, or take them out.

    QUEUE is a work queue or its dead-letter queue.
    """


@command.command("list")
@click.argument("queue", required=False)
@target_options
def list_letters(where: Where, queue: str | None, as_json: bool) -> None:
    """Count the dead letters by task and reason; they stay where they are."""
    with target.opened(where) as found:
        rows = [
            {"queue": dead_queue, "task": task, "reason": reason, "count": count}
            for dead_queue in _dead_queues(found, queue)
            for task, reason, count in letters.counts(_read(found, dead_queue))
        ]
    if as_json:
        click.echo(json.dumps(rows))
        return
    for row in rows:
        click.echo(f"{row['count']:>7,}  {row['queue']:<20} {row['reason'] or '?':<14} {row['task'] or '?'}")
    if not rows:
        click.echo("no dead letters")


@command.command()
@click.argument("queue")
@selection_options
@click.option("--args", "with_args", is_flag=True, help="Show the tasks' arguments too, shortened.")
@target_options
def show(where: Where, queue: str, with_args: bool, limit: int | None, as_json: bool, **chosen: Any) -> None:
    """Show single dead letters and why they died; they stay where they are."""
    selection = _selection(**chosen)
    with target.opened(where) as found:
        (dead_queue,) = _dead_queues(found, queue)
        meant = [one for one in _read(found, dead_queue) if selection.takes(one)][: limit or SHOWN_IDS]
    if as_json:
        click.echo(json.dumps([one.summary(with_args=with_args) for one in meant]))
        return
    for one in meant:
        click.echo("\n".join(_lines(one, with_args=with_args)))


@command.command()
@click.argument("queue")
@selection_options
@click.option("--rate", default="50/s", show_default=True, help="How fast, so that the rest of the work goes on.")
@click.option(
    "--in-doubt",
    "in_doubt_too",
    is_flag=True,
    help="Also those an earlier replay sent without hearing that they arrived: they may then run twice.",
)
@click.option(
    "--journal",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where it is written down what was put back. Default: one file a release on this machine.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be put back, and change nothing.")
@target_options
def replay(
    where: Where, queue: str, limit: int | None, rate: str, in_doubt_too: bool, journal: Path | None,
    dry_run: bool, as_json: bool, **chosen: Any,
) -> None:  # fmt: skip
    """Put dead letters back into the queue they died in: confirmed, at a rate, none twice.

    It can be broken off and run again. Exit code 1 when something is left: a full queue, a letter in doubt.
    """
    per_second = amounts.per_second(amounts.parse_rate(rate, option="--rate"))
    with target.opened(where) as found:
        (dead_queue,) = _dead_queues(found, queue)
        order = letterbox.Order(
            selection=_selection(**chosen),
            queues=frozenset(found.topology["queues"]),
            limit=limit,
            per_second=per_second,
            in_doubt_too=in_doubt_too,
        )
        path = journal or found.journals / "replayed.jsonl"
        with replay_journal.opened(path) as book:
            if dry_run:
                outcome = _foretold(found, dead_queue, order, book.events)
            else:
                outcome = _replayed(found, dead_queue, order, book)
    _tell_replay(found, outcome, dry_run=dry_run, as_json=as_json, journal=path)


@command.command()
@click.argument("queue")
@selection_options
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the messages are written before they go. Default: a new file, which is named.",
)
@click.option("--dry-run", is_flag=True, help="Say what would go, and change nothing.")
@target_options
def purge(
    where: Where, queue: str, limit: int | None, yes: bool, file: Path | None, dry_run: bool, as_json: bool,
    **chosen: Any,
) -> None:  # fmt: skip
    """Take dead letters out for good; each is written to a file first."""
    selection = _selection(**chosen)
    with target.opened(where) as found:
        (dead_queue,) = _dead_queues(found, queue)
        count = sum(selection.takes(one) for one in _read(found, dead_queue))
        count = count if limit is None else min(count, limit)
        path = file or found.journals / f"purged-{dead_queue}-{time.strftime('%Y%m%d-%H%M%S')}.jsonl"
        if count and not (dry_run or yes):
            if as_json or not sys.stdin.isatty():
                raise InputError("purge takes messages out for good: add --yes")
            click.confirm(f"take {count:,} dead letters out of {dead_queue} for good ({found.shown})?", abort=True)
        if count and not dry_run:
            count = letterbox.purge(found.amqp_url, dead_queue, selection, file=path, limit=limit)
            found.engine.note("dlq purge", f"dlq purge {dead_queue}", f"{count} removed, kept in {path}")
    if as_json:
        kept = str(path) if count and not dry_run else None
        click.echo(json.dumps({"dry_run": dry_run, "queue": dead_queue, "removed": count, "file": kept}))
    elif dry_run or not count:
        click.echo(f"{dead_queue}: {count:,} would be taken out; nothing is changed")
    else:
        click.echo(f"{dead_queue}: {count:,} taken out, kept in {path}")


def _selection(*, tasks: tuple[str, ...], reasons: tuple[str, ...], ids: str) -> Selection:
    return Selection(tasks, reasons, tuple(one.strip() for one in ids.split(",") if one.strip()))


def _dead_queues(found: Target, queue: str | None) -> list[str]:
    """Return the dead-letter queues that are meant. Raises InputError for a queue the release does not have."""
    of_queue: dict[str, str] = {
        name: one["dead_letter_queue"] for name, one in found.topology["queues"].items() if one.get("dead_letter_queue")
    }
    every = sorted(set(of_queue.values()))
    if queue is None:
        return every
    if queue in of_queue or queue in every:
        return [of_queue.get(queue, queue)]
    raise InputError(f"QUEUE {queue}: no dead-letter queue belongs to it; there are {', '.join(every) or 'none'}")


def _read(found: Target, dead_queue: str) -> Iterator[Letter]:
    with letterbox.opened(found.amqp_url, dead_queue) as box:
        for letter, _tag in box.letters():
            yield letter


def _lines(letter: Letter, *, with_args: bool) -> list[str]:
    at = "" if letter.died_at is None else time.strftime(" at %Y-%m-%d %H:%M:%S", time.localtime(letter.died_at))
    again = f", put back {letter.replays} times before" if letter.replays else ""
    lines = [
        f"{letter.id or '(no id)'}  {letter.task or '?'}",
        f"    {letter.reason or 'died, nobody says why'} in {letter.queue or '?'}{at}{again}",
    ]
    if letter.error:
        lines.append(f"    {letter.error}")
    return [*lines, f"    ({letter.args})"] if with_args else lines


def _foretold(
    found: Target, dead_queue: str, order: letterbox.Order, events: Mapping[str, letters.Event]
) -> letterbox.Replay:
    outcome = letterbox.Replay()
    for letter in _read(found, dead_queue):
        if order.limit is not None and len(outcome.replayed) >= order.limit:
            break
        if not order.selection.takes(letter):
            continue
        verdict = letters.decide(letter, events, in_doubt_too=order.in_doubt_too)
        if verdict == "remove":
            outcome.removed.append(letter.id)
        elif verdict == "hold":
            outcome.held.append(letter)
        elif letter.queue not in order.queues:
            outcome.unroutable.append(letter)
        else:
            outcome.replayed.append(letter.id)
    return outcome


def _replayed(
    found: Target, dead_queue: str, order: letterbox.Order, book: replay_journal.ReplayJournal
) -> letterbox.Replay:
    def fresh_count(letter: Letter) -> None:
        if found.redis_url:  # or the workers would call it poison at once
            shared.forget_deliveries(found.redis(), letter.id)

    what = f"dlq replay {dead_queue}"
    try:
        outcome = letterbox.replay(found.amqp_url, dead_queue, order, book, before=fresh_count)
    except HarnessError as error:
        found.engine.note("dlq replay", what, f"broken off: {error}")
        raise
    told = f"{len(outcome.replayed)} put back, {len(outcome.held)} held in doubt"
    found.engine.note("dlq replay", what, f"{told}, {outcome.refused}" if outcome.refused else told)
    return outcome


def _tell_replay(found: Target, outcome: letterbox.Replay, *, dry_run: bool, as_json: bool, journal: Path) -> None:
    if as_json:
        document = {
            "dry_run": dry_run,
            "target": found.shown,
            "replayed": outcome.replayed,
            "removed": outcome.removed,
            "in_doubt": [one.summary(with_args=False) for one in outcome.held],
            "unroutable": [one.summary(with_args=False) for one in outcome.unroutable],
            "refused": outcome.refused,
            "journal": str(journal),
        }
        click.echo(json.dumps(document))
    else:
        verb = "would be put back" if dry_run else "put back"
        click.echo(f"{found.shown}: {len(outcome.replayed):,} {verb} (journal: {journal})")
        _tell_left(outcome)
    if not dry_run and (outcome.held or outcome.unroutable or outcome.refused):
        sys.exit(EXIT_LEFT)


def _tell_left(outcome: letterbox.Replay) -> None:
    if outcome.removed:
        click.echo(f"{len(outcome.removed):,} had been put back before and were only taken out")
    if outcome.held:
        click.echo(f"{len(outcome.held):,} are in doubt and stay (--in-doubt puts them back):")
    for letter in outcome.held[:SHOWN_IDS]:
        click.echo(f"  {letter.id}  {letter.task}")
    if outcome.unroutable:
        queues = ", ".join(sorted({one.queue or "(nobody says)" for one in outcome.unroutable}))
        click.echo(f"{len(outcome.unroutable):,} stay: the release has no queue of where they died: {queues}")
    if outcome.refused:
        click.echo(f"ended early: {outcome.refused}; the rest stays, run it again later")

"""`harness ops`: what an on-call person does when a spike overwhelms the system."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import click
from rich.console import Console
from rich.live import Live

from harness.cli import ops_dlq
from harness.cli.ops_options import override_options, target_options
from harness.cli.ops_screen import screen
from harness.errors import InputError
from harness.ops import amounts, objects, target, wishes
from harness.ops.overrides import Override, Step, shown
from harness.ops.status import Status
from harness.ops.target import Target, Where

EXIT_LEFT = 1
WATCH_SECONDS = 2.0


@click.group()
def command() -> None:
    """Look at a release in trouble, override what it does, and put it back.

    Every change goes to an audit log (`harness ops log`), can be tried with --dry-run and undone with `undo`; with
    --for it ends by itself, also when this command has long ended. docs/runbook.md says when to use which.
    """


command.add_command(ops_dlq.command, "dlq")


@command.command()
@click.option("--watch", is_flag=True, help="Look again every two seconds, until Ctrl-C; with --json a line each time.")
@target_options
def status(where: Where, watch: bool, as_json: bool) -> None:
    """Show queues against their limits, workers, dead letters, scaling, breakers and overrides."""
    console = Console()
    with target.opened(where) as found:
        if watch and console.is_terminal and not as_json:
            with Live(console=console, screen=True, auto_refresh=False) as live:
                for look in _looks(found, watch=watch):
                    live.update(screen(look), refresh=True)
        for look in _looks(found, watch=watch):
            if as_json:
                click.echo(json.dumps(look.as_dict()))
            else:
                console.print(screen(look))


def _looks(found: Target, *, watch: bool) -> Iterator[Status]:
    yield found.look()
    while watch:
        time.sleep(WATCH_SECONDS)
        yield found.look()


@command.command()
@click.argument("worker_class", metavar="CLASS")
@click.argument("replicas", type=int)
@click.option("--raise-max", is_flag=True, help="Raise the scaler's maximum as well, where REPLICAS is above it.")
@override_options
@target_options
def scale(where: Where, worker_class: str, replicas: int, raise_max: bool, **options: Any) -> None:
    """Keep at least REPLICAS workers of CLASS: sets the scaler's floor, so that the scaler does not undo it."""
    with target.opened(where) as found:
        pool = wishes.pool_named(worker_class, found.pools())
        wish = wishes.scale(pool, replicas, raise_max=raise_max)
        _override(found, f"scale {worker_class} {replicas}{' --raise-max' if raise_max else ''}", wish, **options)


@command.command()
@click.argument("queue")
@override_options
@target_options
def pause(where: Where, queue: str, **options: Any) -> None:
    """Have nobody take tasks from QUEUE; the workers stay ready and their number stays as it is.

    Tasks that run end as usual. What is published waits, up to the queue's limit and its time to live.
    """
    with target.opened(where) as found:
        _override(found, f"pause {queue}", wishes.pause(queue, found.topology, found.pools()), **options)


@command.command()
@click.argument("queue")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@target_options
def resume(where: Where, queue: str, dry_run: bool, as_json: bool) -> None:
    """Let QUEUE be worked on again: undoes its pause."""
    with target.opened(where) as found:
        thing = objects.thing_of(objects.PAUSED, queue)
        chosen = [one for one in found.engine.active() if one.thing == thing]
        if not chosen:
            raise InputError(f"QUEUE {queue}: it is not paused")
        _undo(found, chosen, dry_run=dry_run, as_json=as_json)


@command.command("rate-limit")
@click.argument("task")
@click.argument("rate")
@click.option(
    "--per-worker",
    is_flag=True,
    help="RATE for each worker by itself, by Celery's own rate limit: only those there now.",
)
@override_options
@target_options
def rate_limit(where: Where, task: str, rate: str, per_worker: bool, **options: Any) -> None:
    """Let TASK start at most at RATE (5/s, 10/m, 100/h), over all workers together and those to come."""
    setting = amounts.parse_rate(rate, option="RATE")
    with target.opened(where) as found:
        if not per_worker:
            found.redis()
        kind = "worker-rate" if per_worker else "rate"
        wish = {objects.thing_of(kind, task): setting}
        _override(found, f"rate-limit {task} {setting}{' --per-worker' if per_worker else ''}", wish, **options)


@command.command()
@click.argument("name")
@click.option("--threshold", type=int, metavar="N", help="Open only after N failures in a row.")
@click.option("--open", "mode", flag_value="open", help="Refuse all calls.")
@click.option("--close", "mode", flag_value="closed", help="Let all calls through, whatever fails.")
@override_options
@target_options
def breaker(where: Where, name: str, threshold: int | None, mode: str | None, **options: Any) -> None:
    """Override the circuit breaker NAME of all processes: its threshold, or its state."""
    setting = wishes.breaker(threshold=threshold, mode=mode)
    with target.opened(where) as found:
        found.redis()
        _override(found, f"breaker {name} {shown(setting)}", {objects.thing_of("breaker", name): setting}, **options)


@command.command()
@click.argument("override_id", metavar="[ID]", required=False)
@click.option("--all", "everything", is_flag=True, help="Undo every override.")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@target_options
def undo(where: Where, override_id: str | None, everything: bool, dry_run: bool, as_json: bool) -> None:
    """Put back what an override has changed; what somebody has changed since stays, and exit code 1 says so.

    Without ID the newest override is undone.
    """
    if override_id and everything:
        raise InputError("undo takes an ID or --all, not both")
    with target.opened(where) as found:
        active = found.engine.active()
        chosen = list(reversed(active)) if everything else active[-1:]
        if override_id:
            chosen = [one for one in active if one.id == override_id]
        if not chosen and not everything:
            known = ", ".join(one.id for one in active) or "none"
            raise InputError(f"there is no override {override_id or 'to undo'}; in force: {known}")
        _undo(found, chosen, dry_run=dry_run, as_json=as_json)


@command.command()
@target_options
def log(where: Where, as_json: bool) -> None:
    """Show who has overridden and undone what, oldest first."""
    with target.opened(where) as found:
        lines = found.engine.audit()
    if as_json:
        click.echo(json.dumps(lines))
        return
    for line in lines:
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(line["at"]))
        detail = f"  ({line['outcome']})" if line.get("outcome") else ""
        click.echo(f"{at}  {line['by']:<12}  {line['action']:<8} {line['id']:<6}  {line['command']}{detail}")


def _override(
    found: Target, what: str, wish: wishes.Wish, *, duration: str | None, dry_run: bool, as_json: bool
) -> None:
    seconds = None if duration is None else amounts.parse_duration(duration, option="--for")
    until = None if seconds is None else found.clock() + seconds
    placement = found.engine.preview(what, wish, until=until)
    _require_an_end_that_works(placement.override)
    override = placement.override if dry_run else found.place(what, wish, until=until)
    _warn(found)
    if as_json:
        click.echo(json.dumps({"dry_run": dry_run, "target": found.shown, "override": override.as_dict()}))
        return
    _tell(found, override, dry_run=dry_run, seconds=seconds)


def _tell(found: Target, override: Override, *, dry_run: bool, seconds: float | None) -> None:
    click.echo(f"{found.shown}{': nothing is changed (--dry-run)' if dry_run else ''}")
    for change in override.changes:
        click.echo(f"  {change.thing}: {shown(change.before)} -> {shown(change.after)}")
    if dry_run:
        return
    end = "until it is undone" if seconds is None else f"for {amounts.shown_duration(seconds)}"
    click.echo(f"override {override.id}, {end}; take it back: harness ops undo {override.id}")


def _require_an_end_that_works(override: Override) -> None:
    """Refuse an end that would lose what stood in Redis before: its expiry can only take a key away."""
    for change in override.changes:
        kind = objects.parts_of(change.thing)[0]
        if override.until is not None and kind in ("rate", "breaker") and change.before is not None:
            raise InputError(
                f"--for: {change.thing} was set to {shown(change.before)} by other means, which would be lost at the "
                "end; leave --for out and undo it by hand"
            )


def _undo(found: Target, chosen: Sequence[Override], *, dry_run: bool, as_json: bool) -> None:
    engine = found.engine
    done = [(one, engine.preview_undo(one) if dry_run else engine.undo(one)) for one in chosen]
    _warn(found)
    if as_json:
        click.echo(json.dumps({"dry_run": dry_run, "target": found.shown, "undone": list(_undone(done))}))
    else:
        click.echo(f"{found.shown}{': nothing is changed (--dry-run)' if dry_run else ''}")
        for override, steps in done:
            click.echo(f"override {override.id} ({override.command})")
            for step in steps:
                click.echo(f"  {step.sentence()}")
    if any(step.outcome == "changed" for _, steps in done for step in steps):
        sys.exit(EXIT_LEFT)


def _warn(found: Target) -> None:
    for warning in found.warnings:
        click.echo(f"warning: {warning}", err=True)


def _undone(done: Sequence[tuple[Override, Sequence[Step]]]) -> Iterator[dict[str, Any]]:
    for override, steps in done:
        told = [{"thing": step.thing, "outcome": step.outcome, "setting": step.setting} for step in steps]
        yield {"id": override.id, "command": override.command, "steps": told}

"""Options of the emergency commands."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from harness.ops import target
from harness.ops.target import Where


def target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which release is meant; the command gets them as one Where."""

    @functools.wraps(command)
    def wrapped(runtime: str | None, run_name: str | None, release: str, namespace: str, **options: Any) -> Any:
        return command(where=Where(runtime=runtime, run=run_name, release=release, namespace=namespace), **options)

    options = [
        click.option("--runtime", type=click.Choice(target.RUNTIMES),
                     help="Where it runs. Default: a local run if there is one, else KUBECONFIG's cluster."),
        click.option("--run", "run_name", metavar="NAME", help="Which local run, where there are several."),
        click.option("--release", default="celery", show_default=True, help="Name of the release, in a cluster."),
        click.option("--namespace", "-n", default="default", show_default=True, help="Its namespace, in a cluster."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document."),
    ]  # fmt: skip
    found: Callable[..., Any] = wrapped
    for option in reversed(options):
        found = option(found)
    return found


def override_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of every command that makes an override."""
    for option in (
        click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing."),
        click.option("--for", "duration", metavar="TIME", help="Undo it by itself after so long, such as 30m or 2h."),
    ):
        command = option(command)
    return command

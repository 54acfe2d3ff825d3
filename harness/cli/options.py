"""Options of every command that takes values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from harness.chart import values as chart_values

Command = TypeVar("Command", bound=Callable[..., Any])

JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@dataclass(frozen=True)
class Chosen:
    """The values a user names on the command line: environments first, files over them, then single settings."""

    files: tuple[Path, ...]
    set_values: dict[str, Any]
    release: str
    namespace: str


def values_options(command: Command) -> Command:
    """Add the options that say which values to use."""
    options = [
        click.option("--env", "environments", metavar="NAMES", help="Files of values/, in order, as in prod,keda."),
        click.option("--values", "-f", "files", metavar="FILE", multiple=True, type=click.Path(path_type=Path),
                     help="A values file, over the environments; may be repeated."),
        click.option("--set", "assignments", metavar="KEY=VALUE", multiple=True,
                     help="One setting over all files; the value is YAML. May be repeated."),
        click.option("--release", default="celery", show_default=True, help="Name of the release."),
        click.option("--namespace", "-n", default="default", show_default=True, help="Namespace of the release."),
        JSON_OPTION,
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def chosen(
    *, environments: str | None, files: Sequence[Path], assignments: Sequence[str], release: str, namespace: str
) -> Chosen:
    """Return the values the options name. Raises InputError."""
    named = chart_values.environment_files(environments) if environments is not None else []
    return Chosen((*named, *files), chart_values.parse_set(assignments), release, namespace)

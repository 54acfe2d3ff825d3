"""The part of docs/reference/commands.md that follows from the command line: every command's own help."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import click

MARKER = "<!-- below: written by `make golden` from the commands' own help -->\n"
WIDTH = 100


def insert(document: str, program: click.Command, name: str) -> str:
    """Return the document with everything below MARKER written anew: a section a command, groups before theirs."""
    return document.partition(MARKER)[0] + MARKER + "".join(_section(context) for context in walk(program, name))


def walk(command: click.Command, name: str, parent: click.Context | None = None) -> Iterator[click.Context]:
    """Yield a context of each command under this one, itself first."""
    settings: dict[str, Any] = {"terminal_width": WIDTH, **command.context_settings}
    command = copy.copy(command)
    command.add_help_option = False  # click keeps the option as it was first asked for, with -h or without
    context = click.Context(command, info_name=name, parent=parent, **settings)
    yield context
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            found = command.get_command(context, each)
            assert found is not None
            yield from walk(found, each, context)


def _section(context: click.Context) -> str:
    return f"\n## {context.command_path}\n\n```text\n{context.get_help().rstrip()}\n```\n"

"""What tests type: each command of `harness` run in the tests' own process, and each process that they start.

tests/docs/commands.yaml names the tests that run commands of the pages. Such a test fails unless it has typed them: the
names cannot be true by accident, nor stay when the test changes.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import click
import pytest

BAD_INPUT = 2
"""How a command ends that refuses what it was told; `make` ends so for any failure."""


@dataclass
class Typed:
    """One command: its words, the program first by its bare name, and its exit code, None while it runs."""

    words: tuple[str, ...]
    code: int | None = None


class Journal:
    """What was typed since the process began; fixtures share what they typed with all tests that ask for them."""

    def __init__(self) -> None:
        self.typed: list[Typed] = []
        self.of_fixtures: dict[int, list[Typed]] = {}

    def note(self, words: Sequence[str]) -> Typed:
        self.typed.append(Typed(tuple(words)))
        return self.typed[-1]

    def by_item(self, item: pytest.Function, since: int) -> list[Typed]:
        """Return what a test and the fixtures that it asks for have typed."""
        info = item._fixtureinfo  # type: ignore[attr-defined]
        fixtures = [one for found in info.name2fixturedefs.values() for one in found]
        return [*self.typed[since:], *(typed for one in fixtures for typed in self.of_fixtures.get(id(one), ()))]


def commands_of(arguments: Any) -> Iterator[tuple[str, ...]]:
    """Yield the commands in what a process is started with: `python -m harness` is `harness`, a shell's is its line."""
    parts = [arguments] if isinstance(arguments, str | bytes | Path) else list(arguments)
    words = [part.decode() if isinstance(part, bytes) else str(part) for part in parts]
    if words and Path(words[0]).name == "setpriv" and "--" in words:  # harness.processes.start
        words = words[words.index("--") + 1 :]
    if len(words) == 3 and Path(words[0]).name in ("bash", "sh") and words[1] == "-c":
        yield _line(words)
    elif words[1:3] == ["-m", "harness"] or (words[1:2] == ["-c"] and "harness.cli" in "".join(words[2:3])):
        yield ("harness", *words[3:])
    elif words[1:2] == ["-m"]:
        yield tuple(words[2:])
    elif words:
        yield bare(words)


def _line(words: Sequence[str]) -> tuple[str, ...]:
    """Return the words of a shell's line, or the shell's own where the line is none: the shell will say so."""
    try:
        return bare(shlex.split(words[2]))
    except ValueError:
        return bare(words)


def bare(words: Sequence[str]) -> tuple[str, ...]:
    """Return the words with the program by its name."""
    return (Path(words[0]).name, *words[1:]) if words else ()


def _watch_processes(journal: Journal) -> None:
    start, wait, poll = subprocess.Popen.__init__, subprocess.Popen.wait, subprocess.Popen.poll
    noted: WeakKeyDictionary[subprocess.Popen[Any], list[Typed]] = WeakKeyDictionary()

    def started(self: subprocess.Popen[Any], args: Any, *more: Any, **options: Any) -> None:
        start(self, args, *more, **options)
        noted[self] = [journal.note(words) for words in commands_of(args)]

    def ended(self: subprocess.Popen[Any], code: int | None) -> int | None:
        for typed in noted.get(self, ()):
            typed.code = code
        return code

    subprocess.Popen.__init__ = started  # type: ignore[method-assign]
    subprocess.Popen.wait = lambda self, timeout=None: ended(self, wait(self, timeout))  # type: ignore[method-assign]
    subprocess.Popen.poll = lambda self: ended(self, poll(self))  # type: ignore[method-assign]


def _watch_commands(journal: Journal) -> None:
    run = click.Command.main

    def ran(self: click.Command, args: Sequence[str] | None = None, *more: Any, **options: Any) -> Any:
        typed = journal.note((*called(self), *map(str, sys.argv[1:] if args is None else args)))
        typed.code = BAD_INPUT  # what any other exception than an exit comes to
        try:
            done = run(self, args, *more, **options)
        except SystemExit as ended:
            typed.code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
            raise
        typed.code = 0
        return done

    click.Command.main = ran  # type: ignore[method-assign]


def called(command: click.Command) -> tuple[str, ...]:
    """Return how a command is called that is run by itself: `harness`, and its name there."""
    from harness.cli import COMMANDS, cli

    module = getattr(command.callback, "__module__", None)
    names = [name for name, place in COMMANDS.items() if place == module]
    return ("harness", *names) if names or command is cli else (str(command.name),)


JOURNAL = Journal()


def pytest_configure() -> None:
    """Begin to listen, once in a process."""
    _watch_processes(JOURNAL)
    _watch_commands(JOURNAL)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: Any) -> Iterator[Any]:
    """Keep what a fixture typed, for as long as it stands."""
    since = len(JOURNAL.typed)
    try:
        return (yield)
    finally:
        JOURNAL.of_fixtures[id(fixturedef)] = JOURNAL.typed[since:]


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[Any]:
    """Fail a test that does not type what commands.yaml says."""
    from tests.docs import account

    since = len(JOURNAL.typed)
    done = yield
    untyped = account.not_among(JOURNAL.by_item(pyfuncitem, since), node=account.node_of(pyfuncitem.nodeid))
    if untyped:
        pytest.fail(f"tests/docs/commands.yaml says that this test runs these, and it does not: {untyped}")
    return done

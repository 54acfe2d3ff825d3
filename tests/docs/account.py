"""The account of the pages' commands (commands.yaml), and whether what a test types is one of them."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import click

from harness.chart import yaml_strict
from harness.chart.values import ROOT
from tests.docs.blocks import Command, commands
from tests.typed import BAD_INPUT, Typed

ALL = commands()
ACCOUNT = yaml_strict.load_file(Path(__file__).with_name("commands.yaml"))
CI = ".ci/run"
"""Among the tests: what it types is said by itself."""
TYPED_HERE = ("quick", "full")
MAKE_SECONDS = 30


@dataclass(frozen=True)
class Wanted:
    """What must be among the words of a command for it to be this one.

    `names` stand beside each other: a program with what it is to do. Of each of `options` one spelling must be there,
    with its value where that is one of a few.
    """

    names: tuple[str, ...]
    options: tuple[tuple[frozenset[str], str | None], ...] = ()
    inner: tuple[str, ...] = ()  # what a program behind " -- " is told

    def is_in(self, words: Sequence[str]) -> bool:
        """Whether a command with these words does it."""
        before, inner = _parted(words)
        return (
            words[0] == self.names[0]
            and any(tuple(before[at : at + len(self.names) - 1]) == self.names[1:] for at in range(1, len(before) + 1))
            and all(_given(before, spellings, value) for spellings, value in self.options)
            and set(self.inner) <= set(inner)
        )


def fits(line: str, command: str) -> bool:
    """Whether a line of commands.yaml stands for a command."""
    return command.startswith(line[:-1]) if line.endswith("*") else command == line


def listed(kind: str, command: Command) -> bool:
    """Whether the commands that are typed here, soon or late, have this one."""
    return any(fits(line, command.text) for line in ACCOUNT[kind])


def node_of(nodeid: str) -> str:
    """Return a test's name as commands.yaml has it: file and function, without parameters."""
    return nodeid.partition("[")[0].partition("@")[0]


def assigned(node: str) -> list[str]:
    """Return the commands that a test is said to run, without those that are typed here."""
    lines = ACCOUNT["elsewhere"].get(node, ())
    texts = {
        each.text
        for each in ALL
        if any(fits(line, each.text) for line in lines) and not any(listed(kind, each) for kind in TYPED_HERE)
    }
    return sorted(texts)


def not_among(typed: Sequence[Typed], *, node: str) -> list[str]:
    """Return which of a test's commands it has not typed; one that was refused as bad input does not count."""
    good = [one.words for one in typed if one.code != BAD_INPUT and one.words]
    return [
        text
        for text in assigned(node)
        if not all(any(wanted.is_in(words) for words in good) for wanted in wanted_of(text))
    ]


@cache
def wanted_of(text: str) -> tuple[Wanted, ...]:
    """Return what must be typed for a command of a page: for one of make what its recipe types."""
    words = bare(text)
    if words[0] == "make":
        found = tuple(one for line in recipe(" ".join(words[1:])) for one in wanted_of(line) if one.names != SETUP)
        assert found, f"{text} runs no harness; let {CI} run it, or say why it is not run"
        return found
    return (_of_harness(words[1:]) if words[0] == "harness" else _of_other(words),)


SETUP = ("harness", "setup")
"""What tests have done before they begin."""


def bare(text: str) -> list[str]:
    """Return a command's words without settings before it, what reads its output, and the way to its program."""
    words = shlex.split(re.split(r" [|>] ", re.sub(r"\$\(.*\)", "X", text))[0])
    while re.match(r"[A-Z_]+=", words[0]):
        words = words[1:]
    return [Path(words[0]).name, *words[1:]]


@cache
def recipe(target: str) -> tuple[str, ...]:
    """Return the commands of the harness that `make target` would type."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        ["make", "-n", *shlex.split(target)],
        cwd=ROOT, env=own, capture_output=True, text=True, timeout=MAKE_SECONDS, check=True,
    )  # fmt: skip
    return tuple(line for line in done.stdout.splitlines() if line.startswith(".venv/bin/harness "))


def _of_harness(words: Sequence[str]) -> Wanted:
    from harness.cli import cli

    command: click.Command = cli
    context = click.Context(cli)
    names, rest = ["harness"], list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.get_command(context, rest[0])
        assert found is not None, f"harness has no command {rest[0]}"
        command = found
        names.append(rest.pop(0))
    return Wanted(tuple(names), tuple(_options(command, rest)))


def _options(command: click.Command, words: Sequence[str]) -> Iterator[tuple[frozenset[str], str | None]]:
    """Yield the options that make a difference: what is given as it is anyhow need not be typed."""
    options = [one for one in command.params if isinstance(one, click.Option)]
    known = {name: (one, alike) for one in options for alike in (one.opts, one.secondary_opts) for name in alike}
    for word, following in pairs(words):
        option, alike = known.get(word.partition("=")[0], (None, ()))
        if option is None:
            continue
        value = None if option.is_flag else word.partition("=")[2] or following
        if value is None or value != str(option.default):
            yield frozenset(alike), CLUSTERS.get(value or "", value) if isinstance(option.type, click.Choice) else None


def pairs(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each word with the one behind it, the last with none."""
    return zip(words, (*words[1:], ""), strict=True) if words else iter(())


def _of_other(words: Sequence[str]) -> Wanted:
    before, inner = _parted(words)
    names = []
    for word in before:
        if not re.fullmatch(r"[a-z][a-z-]*", word):
            break
        names.append(word)
    options = {word.partition("=")[0] for word in before if word.startswith("-")}
    told = [word for before_it, word in pairs(["", *inner]) if re.fullmatch(r"[a-z_]+", word) and before_it[:1] != "-"]
    return Wanted(tuple(names), tuple((frozenset({one, *ALIKE.get(one, ())}), None) for one in options), tuple(told))


CLUSTERS = dict.fromkeys(("kind", "cluster"), "a cluster")
"""Values of --runtime: on which of them tests run is for who runs them to say, by KUBECONFIG."""
ALIKE = {"-f": ("--values",), "--values": ("-f",)}


def _parted(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return a program's words, and those of the one behind " -- "."""
    at = list(words).index("--") if "--" in words else len(words)
    return list(words[:at]), list(words[at + 1 :])


def _given(words: Sequence[str], spellings: frozenset[str], value: str | None) -> bool:
    for word, following in pairs(words):
        name, equals, behind = word.partition("=")
        given = behind if equals else following
        if name in spellings and value in (None, CLUSTERS.get(given, given)):
            return True
    return False

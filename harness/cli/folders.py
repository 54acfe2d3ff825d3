"""What `reports` holds beside runs of spikes: comparisons, soaks, plans and tunings, each with a word of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from harness.cli import soak as soak_command
from harness.compare import page as comparison_page
from harness.compare import state as comparisons
from harness.compare import stored as stored_comparison
from harness.compare import words as comparison_words
from harness.errors import InputError
from harness.planning import planner, tuning
from harness.soak import state as soaks
from harness.soak import stored as stored_soak
from harness.spike import report, result, words


@dataclass(frozen=True)
class Folder:
    """A folder of another kind: what it is, and its page. `show` prints it, as JSON where told."""

    what: str
    page: Path
    show: Callable[[bool], None]


def find(reports: Path, name: str | None) -> Folder | None:
    """Return the named folder of `reports` (or a path) where it is of another kind than a spike's run, else None."""
    for directory in [] if name is None else report.places(reports, name):
        for marker, folder in KINDS.items():
            if (directory / marker).is_file():
                return folder(directory)
    return None


def _comparison(directory: Path) -> Folder:
    page = directory / report.FILE_NAME

    def show(as_json: bool) -> None:
        comparison = stored_comparison.read(directory)
        try:
            comparison_page.write(comparison, directory)
        except OSError as error:
            raise InputError(f"{page}: cannot be written: {error.strerror}; see to its folder's rights") from error
        if as_json:
            click.echo(_read(directory / result.FILE_NAME))
        else:
            click.echo(comparison_words.text(comparison, page=str(page)))

    return Folder("a comparison", page, show)


def _soak(directory: Path) -> Folder:
    def show(as_json: bool) -> None:
        found = soaks.load(directory)
        verdict = stored_soak.read(found)
        if as_json:
            click.echo(_read(directory / soaks.VERDICT))
        else:
            soak_command.show(verdict, found)

    return Folder("a soak", directory / report.FILE_NAME, show)


def _plan(directory: Path) -> Folder:
    path, page = directory / planner.FILE_NAME, directory / report.FILE_NAME

    def show(as_json: bool) -> None:
        text = _read(path)
        if as_json:
            click.echo(text)
            return
        try:
            document = json.loads(text)
            plans = [(one["environment"], one["result"]) for one in document.get("plans", [document])]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: no plan: {type(error).__name__}: {error}") from error
        for environment, foretold in plans:
            click.echo(f"Foretold for {environment}; nothing ran.\n")
            told = result.Result.from_dict(foretold, source=str(path))
            click.echo(words.verdict_text(told, report=str(page)) + "\n")

    return Folder("a plan", page, show)


def _tuning(directory: Path) -> Folder:
    page = directory / tuning.PAGE

    def show(as_json: bool) -> None:
        if as_json:
            raise InputError(f"{directory}: a tuning has a page and the overlay that it wrote, no JSON document")
        click.echo(f"{directory.name} is a tuning: what was tried and what it costs is on its page\n\n  report  {page}")

    return Folder("a tuning", page, show)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}; it is what the command wrote, restore it") from error


KINDS: dict[str, Callable[[Path], Folder]] = {
    comparisons.FILE_NAME: _comparison,
    soaks.RUN: _soak,
    planner.FILE_NAME: _plan,
    tuning.PAGE: _tuning,
}
"""By the file that only such a folder has."""

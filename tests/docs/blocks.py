"""The commands that the pages tell a reader to type."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

from harness.chart.values import ROOT

PAGES = ("README.md", "CONTRIBUTING.md", "docs/runbook.md", "docs/tutorial/*.md", "docs/how-to/*.md")
# First words of a line of an indented block that is for a shell; a fenced one says so and has a prompt.
PROGRAMS = ("make ", "harness ", "helm ", "kubectl ", "docker ", "export ", "eval ")


@dataclass(frozen=True)
class Command:
    """One command as its page has it, without the comment behind it; continued lines are one."""

    page: str
    text: str


def commands() -> list[Command]:
    """Return every command of PAGES, in order."""
    pages = [page for pattern in PAGES for page in sorted(ROOT.glob(pattern))]
    return [Command(str(page.relative_to(ROOT)), line) for page in pages for line in typed(page)]


def typed(page: Path) -> Iterator[str]:
    """Yield the command lines of a page."""
    for token in MarkdownIt().parse(page.read_text()):
        lines = re.sub(r" *\\\n *", " ", token.content).splitlines()
        if token.type == "fence" and token.info == "console":
            yield from (_bare(line[2:]) for line in lines if line.startswith("$ "))
        elif token.type == "code_block":
            yield from (_bare(line) for line in lines if line.startswith(PROGRAMS))


def _bare(line: str) -> str:
    return line.partition(" #")[0].strip()

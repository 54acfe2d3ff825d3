"""pyproject.toml's version, changed without touching the rest of the text. Pure."""

from __future__ import annotations

import re

from harness.errors import InputError

_VERSION = re.compile(r'(^\[project\]\n(?:(?!\[).*\n)*?version = ")[^"\n]*(")', re.MULTILINE)


def with_version(text: str, version: str) -> str:
    """Return pyproject.toml with another version of the project. Raises InputError where it has no line of it."""
    if not _VERSION.search(text):
        raise InputError('pyproject.toml: project.version: no line of it; write version = "1.2.3" under [project]')
    return _VERSION.sub(rf"\g<1>{version}\g<2>", text, count=1)

"""The part of requirements.lock that the worker image needs. Pure, but for asking what is installed."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

Requires = Callable[[str], Sequence[str]]


def locked_part(lock: str, names: Iterable[str]) -> str:
    """Return the lock's entries, with their hashes, of these distributions. Raises KeyError for one it lacks."""
    found = entries(lock)
    return "".join(found[canonicalize_name(name)] for name in sorted(set(names)))


def entries(lock: str) -> dict[str, str]:
    """Return distribution -> its lines of the lock: name, version and hashes."""
    found = re.findall(r"^[A-Za-z0-9][^\n]*\n(?:[ \t]+[^\n]*\n)*", lock, re.MULTILINE)
    return {canonicalize_name(re.split(r"[^\w.-]", entry, maxsplit=1)[0]): entry for entry in found}


def closure(roots: Iterable[str], *, requires: Requires) -> set[str]:
    """Return the names of everything the roots need on this Python, themselves included.

    `requires` gives a distribution's own requirements (`Requires-Dist`).
    """
    waiting = [Requirement(root) for root in roots]
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        for extra in ("", *requirement.extras):
            if (name, extra) not in seen:
                seen.add((name, extra))
                waiting += _needed(tuple(requires(name)), extra)
    return {name for name, _ in seen}


@cache
def installed_requires(name: str) -> Sequence[str]:
    """Return what an installed distribution says it requires."""
    return importlib.metadata.requires(name) or ()


@cache  # each image asks for most of the same ones
def _needed(requirements: tuple[str, ...], extra: str) -> tuple[Requirement, ...]:
    parsed = [Requirement(text) for text in requirements]
    return tuple(one for one in parsed if _applies(one, extra))


def _applies(requirement: Requirement, extra: str) -> bool:
    if requirement.marker is None:
        return not extra
    if extra:
        return requirement.marker.evaluate({"extra": extra}) and not requirement.marker.evaluate({"extra": ""})
    return requirement.marker.evaluate({"extra": ""})

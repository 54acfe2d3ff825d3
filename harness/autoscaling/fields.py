"""Reading manifests: each function returns a checked value or raises ValueError naming the key and what is allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MAX_INT32 = 2**31 - 1


def mapping(value: Any, path: str) -> Mapping[str, Any]:
    """Return a mapping."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{path} is missing" if value is None else f"{path} must be a mapping, not {value!r}")
    return value


def optional_mapping(value: Any, path: str) -> Mapping[str, Any]:
    """Return a mapping, empty for null."""
    return {} if value is None else mapping(value, path)


def sequence(value: Any, path: str) -> Sequence[Any]:
    """Return a list."""
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise ValueError(f"{path} is missing" if value is None else f"{path} must be a list, not {value!r}")
    return value


def text(value: Any, path: str) -> str:
    """Return a text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{path} is missing" if value is None else f"{path} must be a text, not {value!r}")
    return value


def integer(value: Any, path: str, *, low: int, high: int = MAX_INT32, default: int | None = None) -> int:
    """Return a whole number from `low` to `high`; null gives the default, where there is one."""
    if value is None and default is not None:
        return default
    if value is None:
        raise ValueError(f"{path} is missing")
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{path} is {value!r}, must be a whole number from {low} to {high}")
    return value


def choice(value: Any, path: str, allowed: Sequence[str]) -> str:
    """Return one of the allowed texts."""
    if value not in allowed:
        raise ValueError(f"{path} is {value!r}, must be one of {', '.join(allowed)}")
    return str(value)


def name_of(manifest: Mapping[str, Any]) -> str:
    """Return `metadata.name` for messages, whatever else is wrong."""
    metadata = manifest.get("metadata")
    return str(metadata.get("name", "(no name)")) if isinstance(metadata, Mapping) else "(no name)"

"""Values files that are made for a place, kept beside the caches under names that tell them apart."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import tools
from harness.chart import render, yaml_strict
from harness.cluster import kindvalues
from harness.files import write_atomically

KIND = "kind"
"""The overlay of our own kind cluster: a file of values/."""


def overlay(name: str, files: Sequence[Path]) -> list[Path]:
    """Return the overlay to lay over these files: none where it is among them, one made where it does not know them."""
    (path,) = render.environment_files(name)
    if path in files:
        return []
    made = kindvalues.overlay(
        yaml_strict.load_file(path), chart=render.load_values([]), merged=render.load_values(files)
    )
    return [path if made is None else named_by_content(name, made)]


def named_by_content(name: str, values: Mapping[str, Any]) -> Path:
    """Return a values file whose name tells it from those of runs at the same time."""
    digest = hashlib.sha256(yaml_strict.dump_all([values]).encode()).hexdigest()
    return values_file(f"{name}-{digest[:8]}.yaml", values)


def values_file(name: str, values: Mapping[str, Any]) -> Path:
    """Write a values file and return its path."""
    path = tools.cache_home() / "values" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, yaml_strict.dump_all([values]))
    return path

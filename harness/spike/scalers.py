"""A run's autoscalers, kept in its folder: they say how its replicas go after its end, wherever its values are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.chart.manifests import SCALER_KINDS
from harness.errors import InputError
from harness.files import write_atomically

FILE_NAME = "scalers.json"


def write(manifests: Sequence[Mapping[str, Any]], directory: Path) -> Path:
    """Keep the autoscalers of a render, as they were rendered."""
    kept = [one for one in manifests if one.get("kind") in SCALER_KINDS]
    return write_atomically(directory / FILE_NAME, json.dumps(kept, indent=1) + "\n")


def read(directory: Path) -> list[Mapping[str, Any]] | None:
    """Return the manifests a run kept, None for a run of before. Raises InputError for a file that is none."""
    path = directory / FILE_NAME
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON: {error}; run the scenario again") from error
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        raise InputError(f"{path}: expected a list of manifests; run the scenario again")
    return found

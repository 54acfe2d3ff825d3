"""Checks custom resources against the definitions of their providers, strictly and offline.

The schemas come from the Go types by way of the providers' own definitions; `make crds` writes them.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema

from harness.chart import yaml_strict
from harness.chart.problems import Problem

RULE = "custom-resource-schema"
FOLDER = Path(__file__).resolve().parent / "crds"
PROVIDERS = ("keda", "prometheus-operator")


@dataclass(frozen=True)
class Definitions:
    """What one provider defines: the version the schemas are of, and a schema for each `group/version/Kind`."""

    name: str
    version: str
    schemas: Mapping[str, Any]

    def knows(self, manifest: Mapping[str, Any]) -> bool:
        """Return whether an object is of one of these kinds, in whatever version."""
        group = str(manifest.get("apiVersion")).partition("/")[0]
        return any(key.startswith(f"{group}/") and key.endswith(f"/{manifest.get('kind')}") for key in self.schemas)

    def check(self, manifest: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield what is wrong with an object of these kinds; paths are inside the object."""
        schema = self.schemas.get(f"{manifest.get('apiVersion')}/{manifest.get('kind')}")
        if schema is None:
            served = sorted(key.rpartition("/")[0] for key in self.schemas if key.endswith(f"/{manifest.get('kind')}"))
            message = f"{self.name} {self.version} does not serve {manifest.get('apiVersion')}"
            yield Problem("apiVersion", message, f"use {' or '.join(served)}", rule=RULE)
            return
        for error in jsonschema.Draft7Validator(schema).iter_errors(manifest):
            path = yaml_strict.show_path(tuple(error.absolute_path))
            yield Problem(path, error.message, "correct the field", rule=RULE)


@functools.cache
def definitions() -> tuple[Definitions, ...]:
    """Return what each provider defines."""
    return tuple(map(_load, PROVIDERS))


def _load(name: str) -> Definitions:
    data = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return Definitions(name, data["version"], data["schemas"])

"""The objects of a local release as an API server keeps them: read, patched and made while it runs. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any

from harness.errors import HarnessError, InputError
from harness.runtime.base import Manifest

Act = Callable[[dict[str, Any]], None]


class StaleError(HarnessError):
    """The object has another version than the one a change was made from."""


class DocumentStore:
    """Keeps the manifests of what may change while a release runs.

    `apply` is told each new document before it is kept; what it refuses by an InputError is not kept. `fill` puts into
    a document that is read what only the runtime knows.
    """

    def __init__(self, manifests: Iterable[Manifest], *, apply: Act, fill: Act) -> None:
        self._documents = {(one["kind"], one["metadata"]["name"]): _versioned(one, 1) for one in manifests}
        self._apply = apply
        self._fill = fill
        self._version = 1

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return a copy of an object, None where there is none."""
        found = deepcopy(self._documents.get((kind, name)))
        if found is not None:
            self._fill(found)
        return found

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Return copies of all objects of a kind, by name."""
        return [found for one, name in sorted(self._documents) if one == kind and (found := self.get(kind, name))]

    def patch(self, kind: str, name: str, change: Mapping[str, Any]) -> dict[str, Any]:
        """Apply an RFC 7386 merge patch and return the object.

        Raises InputError where there is no such object or it would be refused, StaleError where the patch names
        another version.
        """
        found = self._documents.get((kind, name))
        if found is None:
            raise InputError(f"there is no {kind} {name}")
        wanted = (change.get("metadata") or {}).get("resourceVersion")
        if wanted is not None and wanted != found["metadata"]["resourceVersion"]:
            raise StaleError(f"{kind} {name} has changed meanwhile")
        return self._keep(merged(found, change))

    def create(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Make an object. Raises InputError for a kind that cannot be made here, StaleError for a taken name."""
        kind, name = str(document.get("kind")), str(document["metadata"]["name"])
        if kind != "ConfigMap":
            raise InputError(f"a {kind} cannot be made in a local run; install it with the release")
        if (kind, name) in self._documents:
            raise StaleError(f"there is a {kind} {name} already")
        return self._keep(deepcopy(dict(document)))

    def _keep(self, document: dict[str, Any]) -> dict[str, Any]:
        self._version += 1
        kept = _versioned(document, self._version)
        self._apply(kept)
        self._documents[kept["kind"], kept["metadata"]["name"]] = kept
        return deepcopy(kept)


def _versioned(manifest: Mapping[str, Any], version: int) -> dict[str, Any]:
    document = deepcopy(dict(manifest))
    document["metadata"] = {**document["metadata"], "resourceVersion": str(version)}
    return document


def merged(document: Any, change: Any) -> Any:
    """Return a document with an RFC 7386 merge patch applied.

    >>> merged({"a": 1, "b": {"c": 2}}, {"a": None, "b": {"d": 3}})
    {'b': {'c': 2, 'd': 3}}
    """
    if not isinstance(change, Mapping):
        return change
    result = dict(document) if isinstance(document, Mapping) else {}
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result

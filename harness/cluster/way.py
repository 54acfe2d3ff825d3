"""Which way a cluster is had: pure choice, made from what was found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from harness.errors import InputError

Kind = Literal["registry", "packages", "given"]
FORCED = ("auto", "registry", "packages")
VARIABLE = "CELERY_WORKERS_WAY"


@dataclass(frozen=True)
class Way:
    """How the cluster is had, and why so, as the person at the terminal reads it."""

    kind: Kind
    reason: str
    engine: str | None = None  # docker or podman, for the way with a registry

    def __str__(self) -> str:
        return f"{_SHOWN[self.kind]}: {self.reason}"


_SHOWN: Mapping[Kind, str] = {
    "registry": "the ordinary way, images from a registry",
    "packages": "from packages, no container registry",
    "given": "the cluster that is there",
}


def choose(*, forced: str, find_engine: Callable[[], str | None], reaches_registry: Callable[[str], bool]) -> Way:
    """Return the way to make a kind cluster.

    `find_engine` names an engine that answers; `reaches_registry` says whether that one gets the node image. Neither is
    asked when the answer does not matter. Raises InputError when the ordinary way is forced and no engine answers.
    """
    if forced == "packages":
        return Way("packages", "asked for by --way packages")
    engine = find_engine()
    if engine is None:
        if forced == "registry":
            raise InputError(
                "--way registry needs docker or podman, and neither answers: start one, or use --way packages"
            )
        return Way("packages", "neither docker nor podman answers")
    if forced == "registry":
        return Way("registry", f"asked for by --way registry, with {engine}", engine)
    if reaches_registry(engine):
        return Way("registry", f"{engine} answers and reaches the registry of the node image", engine)
    return Way("packages", f"{engine} answers, but the registry of the node image does not")


def forced(environment: Mapping[str, str]) -> str:
    """Return the way the environment asks for, "auto" where it asks for none. Raises InputError for an unknown one."""
    asked = environment.get(VARIABLE) or "auto"
    if asked not in FORCED:
        raise InputError(f"{VARIABLE} is {asked!r}: one of {', '.join(FORCED)} is a way")
    return asked


def given(environment: Mapping[str, str]) -> Way | None:
    """Return the way of a cluster the user names by KUBECONFIG, None where none is named."""
    kubeconfig = environment.get("KUBECONFIG")
    return Way("given", f"KUBECONFIG={kubeconfig}") if kubeconfig else None

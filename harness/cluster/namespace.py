"""A namespace for one purpose, with what outlives its pods; removed with everything that was made for it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.cluster import fixture, kindconfig, outside
from harness.cluster.kubectl import Kubectl
from harness.errors import HarnessError

RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
READY_SECONDS = 180.0
GONE_SECONDS = 120.0


@dataclass(frozen=True)
class Namespace:
    """One namespace. `node_directory` is this machine's side of the directory all nodes share: on kind only."""

    kubectl: Kubectl
    name: str
    node_directory: Path | None = None

    def create(self) -> None:
        """Make it; it enforces restricted Pod Security."""
        metadata = {"name": self.name, "labels": RESTRICTED}
        self.kubectl.apply(
            [{"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}], doing=f"making namespace {self.name}"
        )

    def remove(self) -> None:
        """Delete it with its volumes and their files; nobody's work is finished there any more."""
        run = self.kubectl.run
        run("delete", "namespace", self.name, "--wait=false", "--ignore-not-found", doing=f"deleting {self.name}")
        # Graces of minutes would only hold up what comes next.
        with contextlib.suppress(HarnessError):
            run("delete", "pods", "--all", "-n", self.name, "--grace-period=0", "--force", doing="ending its pods")
        run(
            "wait", "--for=delete", f"namespace/{self.name}", f"--timeout={GONE_SECONDS:.0f}s",
            doing=f"waiting for the end of {self.name}", seconds=GONE_SECONDS + 10,
        )  # fmt: skip
        if self.node_directory is not None:  # elsewhere a StorageClass gave them, and takes them back
            volumes = [fixture.volume_name(self.name), outside.volume_name(self.name)]
            run("delete", "persistentvolume", *volumes, "--ignore-not-found", doing="deleting its volumes")
            shutil.rmtree(self.node_directory / self.name, ignore_errors=True)

    def shared(self, name: str) -> str | None:
        """Make a directory that every node sees and return its path on the nodes; None where there is no such thing."""
        here = self.shared_here(name)
        if here is None:
            return None
        here.mkdir(parents=True)
        here.chmod(0o777)  # pods write there under uids of their own
        return f"{kindconfig.SHARED_DIRECTORY}/{self.name}/{name}"

    def shared_here(self, name: str) -> Path | None:
        """Return this machine's path of a shared directory."""
        return None if self.node_directory is None else self.node_directory / self.name / name

    def rollout(self, what: str, *, seconds: float = READY_SECONDS) -> None:
        """Wait for a rollout, e.g. of deployment/services. Raises HarnessError with the newest events."""
        try:
            self.kubectl.run(
                "rollout", "status", what, "-n", self.name, f"--timeout={seconds:.0f}s",
                doing=f"waiting for {what}", seconds=seconds + 10,
            )  # fmt: skip
        except HarnessError as error:
            raise HarnessError(f"{error}\n{self.kubectl.recent_events(self.name)}") from error


@contextlib.contextmanager
def made(namespace: Namespace) -> Iterator[Namespace]:
    """Make a namespace for the block."""
    try:
        namespace.create()
        yield namespace
    finally:
        namespace.remove()

"""The container engine a cluster's nodes run on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness import tools
from harness.cluster import distribution, shell
from harness.errors import HarnessError
from harness.files import write_atomically

BUILD_SECONDS = 900.0
ANSWER_SECONDS = 30.0

# Podman as it works on any machine that is root: the limits are within what one without CAP_SYS_RESOURCE may hand out,
# and runc with plain cgroups is what runs where both cgroup versions are mounted.
CONTAINERS_CONF = """\
# Written by `harness cluster`; the machine's own configuration is left alone.
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=32768:32768"]

[engine]
cgroup_manager = "cgroupfs"
runtime = "runc"
"""


@dataclass(frozen=True)
class Engine:
    """Docker or podman, and the environment to call it (and kind) with."""

    program: str
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(self, *arguments: str | Path, doing: str, timeout_seconds: float = ANSWER_SECONDS) -> str:
        """Run the engine's command line and return its stdout. Raises HarnessError."""
        return shell.run(
            [self.program, *arguments], doing=doing, timeout_seconds=timeout_seconds, environment=self.environment
        )

    def has_image(self, reference: str) -> bool:
        """Whether the engine's own store has an image."""
        return shell.succeeds(
            [self.program, "image", "inspect", reference], timeout_seconds=ANSWER_SECONDS, environment=self.environment
        )

    def build(self, context: Path, *, tag: str, arguments: Mapping[str, str], secrets: Mapping[str, Path]) -> None:
        """Build a directory's Containerfile. Secrets are files a step may read; the image keeps nothing of them."""
        options: list[str | Path] = ["--network", "host", "--tag", tag, "--file", context / "Containerfile"]
        for name, value in arguments.items():
            options += ["--build-arg", f"{name}={value}"]
        for name, path in secrets.items():
            options += ["--secret", f"id={name},src={path}"]
        self.run("build", *options, context, doing=f"building {tag}", timeout_seconds=BUILD_SECONDS)

    def save(self, references: Sequence[str], target: Path) -> None:
        """Write images to one archive that containerd can import."""
        self.run("save", "--output", target, *references, doing="saving an image", timeout_seconds=BUILD_SECONDS)


def own_podman() -> Engine | None:
    """Return podman as `packaged_podman` set it up earlier, None where it never did."""
    configuration = _configuration_file()
    if not configuration.exists() or shutil.which("podman") is None:
        return None
    return Engine("podman", {"CONTAINERS_CONF": str(configuration), "KIND_EXPERIMENTAL_PROVIDER": "podman"})


def packaged_podman(*, say: shell.Say) -> Engine:
    """Return podman from the distribution, installed when missing, with a configuration of its own.

    Raises InputError on a system where it cannot be installed, HarnessError when it does not answer.
    """
    distribution.require(distribution.ENGINE_PACKAGES, say=say)
    modules = Path("/lib/modules")
    if not modules.exists() and os.geteuid() == 0:
        modules.mkdir(parents=True)  # kind mounts it into every node
    configuration = _configuration_file()
    configuration.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(configuration, CONTAINERS_CONF)
    engine = own_podman()
    if engine is None:
        raise HarnessError("podman was installed but is not on PATH; add its directory (usually /usr/bin)")
    engine.run("info", doing="asking podman for its state")
    return engine


def _configuration_file() -> Path:
    return tools.cache_home() / "cluster" / "containers.conf"


def running_engine() -> Engine | None:
    """Return the first of docker and podman that is installed and answers."""
    for program in ("docker", "podman"):
        if shutil.which(program) and shell.succeeds([program, "info"], timeout_seconds=ANSWER_SECONDS):
            return Engine(program, {"KIND_EXPERIMENTAL_PROVIDER": program})
    return None


def reaches(engine: Engine, reference: str) -> bool:
    """Whether the engine gets an answer about an image from its registry."""
    try:
        engine.run("manifest", "inspect", reference, doing=f"looking for {reference}", timeout_seconds=20.0)
    except HarnessError:
        return False
    return True

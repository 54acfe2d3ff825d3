"""Making, filling and deleting a cluster with kind."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import tools
from harness.chart import yaml_strict
from harness.cluster import kindconfig, shell
from harness.cluster.engine import Engine
from harness.cluster.kindconfig import Shape
from harness.cluster.versions import Versions
from harness.errors import HarnessError

CREATE_SECONDS, DELETE_SECONDS = 300.0, 300.0
LOAD_SECONDS = 180.0
READY_SECONDS = 120.0
ANSWER_SECONDS = 30.0
NETWORK = "kind"


@dataclass(frozen=True)
class Kind:
    """kind's command line, for one cluster on one engine."""

    program: Path
    engine: Engine
    name: str = kindconfig.CLUSTER

    @property
    def home(self) -> Path:
        """Where this cluster's own files are: configuration, kubeconfig, the directory its nodes share."""
        return tools.cache_home() / "cluster" / self.name

    @property
    def kubeconfig(self) -> Path:
        """The cluster's own kubeconfig; the user's is left alone."""
        return self.home / "kubeconfig"

    @property
    def shared(self) -> Path:
        """The directory every node sees at kindconfig.SHARED_DIRECTORY."""
        return self.home / "shared"

    def exists(self) -> bool:
        """Whether kind knows a cluster of this name."""
        return self.name in self._run("get", "clusters", doing="asking kind for its clusters").split()

    def nodes(self) -> list[str]:
        """Return the names of the cluster's node containers."""
        return self._run("get", "nodes", "--name", self.name, doing="asking kind for the nodes").split()

    def create(self, versions: Versions, *, image: str, packaged: bool, workers: int) -> None:
        """Create the cluster and wait for its control plane. Raises HarnessError with the nodes' last words."""
        # Of one that ended without us, or whose deletion was given up: its images are not this one's.
        shutil.rmtree(self.home, ignore_errors=True)
        self.write_files(versions, packaged=packaged, workers=workers)
        if not self._network_there():
            self._network_mark.touch()
        try:
            self._run(
                *create_arguments(self.name, image, self.home), doing="creating the cluster", seconds=CREATE_SECONDS
            )
        except HarnessError as error:
            words = "\n".join(f"--- {node}\n{self._last_words(node)}" for node in self._containers())
            self.delete()
            raise HarnessError(f"{error}\n{words}") from error

    def delete(self) -> None:
        """Delete the cluster's nodes and its files; safe where there is none."""
        self._run(
            "delete", "cluster", "--name", self.name, "--kubeconfig", self.kubeconfig,
            doing="deleting the cluster", seconds=DELETE_SECONDS,
        )  # fmt: skip
        shutil.rmtree(self.home, ignore_errors=True)
        self._remove_network()

    def load(self, archives: Iterable[Path]) -> list[Path]:
        """Import image archives on the worker nodes that do not have them yet; returns those that were imported."""
        workers = [node for node in self.nodes() if "control-plane" not in node]
        missing = [archive for archive in archives if not self._has(archive)]
        for archive in missing:
            arguments: list[str | Path] = [
                "load",
                "image-archive",
                archive,
                "--name",
                self.name,
                "--nodes",
                ",".join(workers),
            ]
            self._run(*arguments, doing=f"loading {archive.name}", seconds=LOAD_SECONDS)
            mark = self._loaded_mark(archive)
            mark.parent.mkdir(exist_ok=True)
            mark.write_text(archive.name)
        return missing

    def memory_bytes(self) -> int:
        """Return the memory the processes of all nodes hold together; what files take in caches is not counted."""
        return sum(resident_bytes(self._memory_statistics(node)) for node in self.nodes())

    def _memory_statistics(self, node: str) -> str:
        read = "cat /sys/fs/cgroup/memory/memory.stat 2>/dev/null || cat /sys/fs/cgroup/memory.stat"
        return self.engine.run("exec", node, "sh", "-c", read, doing=f"asking {node} for its memory")

    def _has(self, archive: Path) -> bool:
        mark = self._loaded_mark(archive)
        return mark.exists() and mark.read_text() == archive.name

    def _loaded_mark(self, archive: Path) -> Path:
        """Names the archive whose image the nodes have under the image's name: one of all that were ever built."""
        return self.home / "loaded" / archive.stem.rpartition("-")[0]

    def write_files(self, versions: Versions, *, packaged: bool, workers: int) -> None:
        """Write kind's configuration and the directories its nodes mount."""
        network = self.home / "network"
        for directory in (network, self.shared):
            directory.mkdir(parents=True, exist_ok=True)
        self.shared.chmod(0o777)  # pods write there under uids of their own
        (network / "network.env").write_text(kindconfig.network_environment(self.name))
        shape = Shape(
            name=self.name,
            workers=workers,
            shared_directory=str(self.shared),
            network_directory=str(network) if packaged else "",
        )
        text = yaml_strict.dump_all([kindconfig.configuration(shape, versions)])
        (self.home / "kind.yaml").write_text(text)

    @property
    def _network_mark(self) -> Path:
        """Present where kind's network was not there before us; it is shared by all clusters of an engine."""
        return self.home.parent / f"network-of-{self.engine.program}"

    def _network_there(self) -> bool:
        return shell.succeeds(
            [self.engine.program, "network", "inspect", NETWORK],
            timeout_seconds=ANSWER_SECONDS,
            environment=self.engine.environment,
        )

    def _remove_network(self) -> None:
        """Remove kind's network if we brought it about and no other cluster is on it: the engine refuses then."""
        if self._network_mark.exists() and shell.succeeds(
            [self.engine.program, "network", "rm", NETWORK],
            timeout_seconds=ANSWER_SECONDS,
            environment=self.engine.environment,
        ):
            self._network_mark.unlink()

    def _containers(self) -> list[str]:
        listed = self.engine.run(
            "ps", "--all", "--filter", f"label=io.x-k8s.kind.cluster={self.name}", "--format", "{{.Names}}",
            doing="listing the nodes",
        )  # fmt: skip
        return listed.split()

    def _last_words(self, node: str) -> str:
        try:
            return self.engine.run("logs", "--tail", "40", node, doing=f"reading {node}'s log")
        except HarnessError as error:
            return str(error)

    def _run(self, *arguments: str | Path, doing: str, seconds: float = ANSWER_SECONDS) -> str:
        return shell.run(
            [self.program, *arguments], doing=doing, timeout_seconds=seconds, environment=self.engine.environment
        )


def create_arguments(name: str, image: str, home: Path) -> Sequence[str | Path]:
    """Return the arguments of `kind` that create a cluster from the files in its home."""
    return [
        "create", "cluster", "--retain", "--name", name, "--image", image, "--config", home / "kind.yaml",
        "--kubeconfig", home / "kubeconfig", "--wait", f"{READY_SECONDS:.0f}s",
    ]  # fmt: skip


def resident_bytes(statistics: str) -> int:
    """Return the anonymous memory a cgroup's memory.stat counts, its children's included; cgroup v1 or v2.

    >>> resident_bytes("cache 9\\nrss 1\\ntotal_rss 5\\n"), resident_bytes("anon 7\\nfile 2\\n")
    (5, 7)
    """
    found = dict(line.split(maxsplit=1) for line in statistics.splitlines() if " " in line)
    return int(found.get("total_rss", found.get("anon", 0)))

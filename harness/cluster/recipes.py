"""What each image is made from. A recipe names its inputs by content, so that what was built once is found again."""

from __future__ import annotations

import hashlib
import shutil
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness import tools
from harness.cluster import programs, requirements
from harness.cluster.kindconfig import KUBERNETES_REPOSITORY
from harness.cluster.versions import ROOT, Versions

IMAGES = ROOT / "images"
CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")

PAUSE = f"{KUBERNETES_REPOSITORY}/pause:1"  # images/node/files/etc/containerd/config.toml names it too

STAGING = 2  # counted up when what the functions below put beside a Containerfile changes

Stage = Callable[[Path], None]


@dataclass(frozen=True)
class Recipe:
    """One image: the folder of its Containerfile, the name it gets, and what else decides its content.

    `stage` puts files beside the Containerfile; `inputs` identify them. `root` is the Debian root file system it starts
    from, by the name of a folder with a packages.txt.
    """

    folder: str
    reference: str
    stage: Stage
    inputs: tuple[str, ...] = ()
    root: str | None = None
    root_argument: str = "ROOT"
    arguments: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The image's short name, without repository and tag."""
        return self.reference.rsplit("/", 1)[-1].split(":")[0]

    def fingerprint(self) -> str:
        """Return a hash of everything that decides the content."""
        digest = hashlib.sha256()
        for part in (
            str(STAGING),
            self.reference,
            self.root or "",
            self.root_argument,
            *self.inputs,
            *map(str, self.arguments.items()),
        ):
            digest.update(part.encode() + b"\0")
        for folder in (self.folder, self.root):
            if folder:
                digest.update(content_hash(IMAGES / folder).encode())
        return digest.hexdigest()[:12]


@dataclass(frozen=True)
class Sources:
    """What an image has of this project: files and folders, and the extra of pyproject.toml that names their needs."""

    paths: tuple[str, ...]
    extra: str

    def stage(self, context: Path) -> None:
        """Put the sources and the part of the lock they need beside the Containerfile."""
        for name in self.paths:
            source, target = ROOT / name, context / "application" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
            else:
                shutil.copyfile(source, target)
        (context / "requirements.txt").write_text(self.requirements())

    def requirements(self) -> str:
        """Return the locked requirements."""
        return requirements.locked_part((ROOT / "requirements.lock").read_text(), self.names())

    def names(self) -> set[str]:
        """Return the distributions that the sources need, and what these need."""
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        roots = [*project["dependencies"], *project["optional-dependencies"][self.extra]]
        # An extra may name another one of the project's own; the project itself comes as sources.
        return requirements.closure(roots, requires=requirements.installed_requires) - {project["name"]}

    def fingerprint(self) -> str:
        """Return a hash of all that `stage` puts there."""
        parts = [*self.paths, *(content_hash(ROOT / name) for name in self.paths), self.requirements()]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


WORKER = Sources(("celery_workers", "examx"), extra="examx")
# Not all of the harness: what the load generator never imports may change without a new image. Scenarios are given to a
# run; a publisher's settings come from the file the chart mounts.
LOAD = Sources(
    (
        "celery_workers",
        "examx",
        *(f"harness/{part}" for part in ("__init__.py", "errors.py", "broker", "chart", "spike")),
        "loadtests/spike.py",
        "charts/celery-workers/files/celeryconfig.py",
    ),
    extra="load",
)


def content_hash(root: Path) -> str:
    """Return a hash of a file, or of a directory's files: paths, modes and bytes; links by where they point."""
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
        if path.is_dir() or "__pycache__" in path.parts:
            continue
        content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        executable = bool(path.lstat().st_mode & 0o100)
        digest.update(f"{path.relative_to(root)}\0{executable}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def packages(folder: str) -> list[str]:
    """Return the Debian packages of an image's root file system."""
    return (IMAGES / folder / "packages.txt").read_text().split()


def control_plane(versions: Versions) -> list[Recipe]:
    """Return the images only a control-plane node runs."""
    kubernetes = tools.build(programs.KUBERNETES).parent
    tag = f"v{versions.kubernetes}"
    recipes = [program(kubernetes / name, f"{KUBERNETES_REPOSITORY}/{name}:{tag}") for name in CONTROL_PLANE]
    etcd = tools.build(programs.ETCD)
    return [*recipes, program(etcd, f"{KUBERNETES_REPOSITORY}/etcd:{versions.etcd}", name="etcd")]


def every_node(versions: Versions) -> list[Recipe]:
    """Return the images every node may have to run."""
    kubernetes = tools.build(programs.KUBERNETES).parent
    return [
        program(
            kubernetes / "kube-proxy",
            f"{KUBERNETES_REPOSITORY}/kube-proxy:v{versions.kubernetes}",
            folder="kube-proxy",
            root="node",
        ),
        program(tools.build(programs.COREDNS), f"{KUBERNETES_REPOSITORY}/coredns:v{versions.coredns}"),
        program(tools.build(programs.PAUSE), PAUSE),
    ]


def addons(versions: Versions) -> list[Recipe]:
    """Return the images of metrics-server and KEDA, under the names their manifests use on a cluster from packages."""
    keda = tools.build(programs.KEDA)
    names = addon_images(versions)
    return [
        program(tools.build(programs.METRICS_SERVER), names["metrics-server"]),
        program(keda, names["keda-operator"], name="keda"),
        program(keda.with_name("adapter"), names["keda-metrics-apiserver"], name="keda-adapter"),
    ]


def addon_images(versions: Versions) -> Mapping[str, str]:
    """Return the image names of a cluster from packages, by what they run."""
    return {
        "metrics-server": f"localhost/celery-workers/metrics-server:v{versions.metrics_server}",
        "keda-operator": f"localhost/celery-workers/keda-operator:{versions.keda}",
        "keda-metrics-apiserver": f"localhost/celery-workers/keda-metrics-apiserver:{versions.keda}",
    }


def rabbitmq(versions: Versions) -> Recipe:
    """Return RabbitMQ from Debian's package, under the name the chart asks for."""
    return Recipe(
        folder="rabbitmq",
        reference=versions.public_images["rabbitmq"],
        stage=lambda context: None,
        inputs=(versions.debian["rabbitmq"],),
        root="rabbitmq",
    )


def worker(reference: str, *, debian: str) -> Recipe:
    """Return the reference application's image from packages."""
    return _project(reference, WORKER, debian=debian)


def load(reference: str, *, debian: str) -> Recipe:
    """Return the load generator's image from packages."""
    return _project(reference, LOAD, debian=debian)


def _project(reference: str, sources: Sources, *, debian: str) -> Recipe:
    return Recipe(
        folder="worker",
        reference=reference,
        stage=sources.stage,
        inputs=(debian, sources.fingerprint()),
        root="worker",
        root_argument="BASE",
    )


def program(
    binary: Path, reference: str, *, folder: str = "program", name: str | None = None, root: str | None = None
) -> Recipe:
    """Return an image of one static program, identified by the folder the tools' cache gave its binary."""
    called = name or binary.name

    def stage(context: Path) -> None:
        target = context / "root" / "usr" / "local" / "bin" / called
        target.parent.mkdir(parents=True)
        link_or_copy(binary, target)
        for link in ("entrypoint", called):  # public images have the program at their root
            (context / "root" / link).symlink_to(f"/usr/local/bin/{called}")

    return Recipe(folder, reference, stage, inputs=(binary.parent.name, called), root=root)


def node(versions: Versions, *, archives: Iterable[Path], control_plane_archives: Iterable[Path]) -> Recipe:
    """Return the node image; the archives are what its nodes import when they first start."""
    kubernetes = tools.build(programs.KUBERNETES).parent
    binaries = [kubernetes / name for name in ("kubeadm", "kubectl", "kubelet")] + [tools.build(programs.CRICTL)]
    everywhere, control = list(archives), list(control_plane_archives)

    def stage(context: Path) -> None:
        _place(binaries, context / "bin")
        _place(everywhere, context / "archives")
        _place(control, context / "archives" / "control-plane")
        (context / "version").write_text(f"v{versions.kubernetes}\n")

    inputs = (
        versions.debian["node"],
        *(f"{path.parent.name}/{path.name}" for path in (*binaries, *everywhere, *control)),
    )
    return Recipe("node", "localhost/celery-workers/node:current", stage, inputs=inputs, root="node")


def staged(recipe: Recipe, directory: Path) -> Path:
    """Return the folder an image is built from, made anew in a directory, under the image's short name."""
    context = directory / recipe.name
    shutil.rmtree(context, ignore_errors=True)
    shutil.copytree(IMAGES / recipe.folder, context)
    recipe.stage(context)
    return context


def _place(files: Iterable[Path], directory: Path) -> None:
    directory.mkdir(parents=True)
    for file in files:
        link_or_copy(file, directory / file.name)


def link_or_copy(source: Path, target: Path) -> None:
    """Make `target` the same file as `source` without copying its bytes where the file system allows it."""
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)

"""The images of a release: built or taken from the cache as for any cluster, then labelled, and written as archives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import scratch
from harness.cluster import engine as engines
from harness.cluster import images, ordinary, pipconf, recipes, setup, shell
from harness.cluster.engine import Engine
from harness.cluster.ordinary import Step
from harness.cluster.recipes import Recipe
from harness.cluster.versions import ROOT, Versions, versions
from harness.cluster.way import Way
from harness.errors import HarnessError, InputError
from harness.release.plan import Plan

FOLDER = "images/release"
APPLICATION = "Reference application of the chart celery-workers: workers, web front, exporter, stand-in services"
LOAD_GENERATOR = "Load generator of the chart celery-workers: Locust, and the code that its scenarios share"
LABEL_SECONDS = 120.0
LOAD_SECONDS = 300.0
_SECRETS = {"pip-conf": "PIP_CONF", "ca-bundle": "CA_BUNDLE"}  # as a dry run shows them: the files are made when used


@dataclass(frozen=True)
class Image:
    """One image: how it is built, what it is, its name in this release, its labels, its part of the lock, its time."""

    recipe: Recipe
    description: str
    reference: str
    labels: Mapping[str, str]
    needs: str
    committed_seconds: int

    @property
    def name(self) -> str:
        """The short name."""
        return self.recipe.name


def of(plan: Plan) -> list[Image]:
    """Return the images of a release: the reference application's, and the load generator's."""
    pinned = versions()
    found = (
        (setup.worker_recipe(pinned), APPLICATION, recipes.WORKER),
        (setup.load_recipe(pinned), LOAD_GENERATOR, recipes.LOAD),
    )
    return [
        Image(
            recipe,
            description,
            f"{recipe.reference.rpartition(':')[0]}:{plan.app_version}",
            plan.labels(recipe.name, description),
            sources.requirements(),
            plan.committed_seconds,
        )
        for recipe, description, sources in found
    ]


def write(way: Way, image: Image, archive: Path, *, say: shell.Say) -> None:
    """Write an image of a release to an archive, by the way that was chosen. Raises HarnessError."""
    if way.kind == "packages":
        _write_from_packages(image, archive, say)
    else:
        _write_with_registry(_engine(way), image, archive, say)


def ordinary_steps(engine: str, pinned: Versions, image: Image, *, directory: str) -> list[Step]:
    """Return the commands of the way with a registry, for a folder that the image is staged in."""
    base = images.name_by_content(image.recipe)
    context = Path(directory, image.name)
    build = ordinary.build(engine, pinned, reference=base, context=context, secrets=_SECRETS)
    remove = Step(f"removing {base}", (engine, "rmi", "--force", base), LABEL_SECONDS)
    return [build, *_finishing(engine, image, base, Path(directory, f"{image.name}.tar")), remove]


def _finishing(engine: str, image: Image, base: str, archive: Path) -> list[Step]:
    """Return the commands that make a release's image of a finished one."""
    given = [part for name, value in image.labels.items() for part in ("--label", f"{name}={value}")]
    # With the commit's time for its own, podman makes the same image of the same one again; docker has no such option.
    dated = ("--timestamp", str(image.committed_seconds)) if engine == "podman" else ()
    command = (
        engine, "build", *dated, "--file", f"{FOLDER}/Containerfile", "--build-arg", f"BASE={base}", *given,
        "--tag", image.reference, FOLDER,
    )  # fmt: skip
    return [
        Step(f"labelling image {image.name}", command, LABEL_SECONDS),
        ordinary.save(engine, reference=image.reference, image=image.name, archive=str(archive)),
    ]


def _engine(way: Way) -> Engine:
    if way.engine is None:
        raise InputError(f"{way}: no engine answers; start docker or podman")
    return Engine(way.engine)


def _write_from_packages(image: Image, archive: Path, say: shell.Say) -> None:
    engine = engines.packaged_podman(say=say)
    source = images.Builder(engine, versions(), say).archive(image.recipe)  # the one that clusters use
    base = images.name_by_content(image.recipe)
    # The store is the harness' own; what is in it only takes room.
    with (
        images.naming(image.recipe),
        images.removed_afterwards(engine, image.reference, image.recipe.reference, base),
    ):
        engine.run("load", "--input", source, doing=f"loading image {image.name}", timeout_seconds=LOAD_SECONDS)
        engine.run("tag", image.recipe.reference, base, doing=f"naming {base}")
        _run(_finishing(engine.program, image, base, archive), engine, say)


def _write_with_registry(engine: Engine, image: Image, archive: Path, say: shell.Say) -> None:
    base = images.name_by_content(image.recipe)
    with scratch.directory("image") as directory, pipconf.secrets() as secrets:
        context = recipes.staged(image.recipe, directory)
        build = ordinary.build(engine.program, versions(), reference=base, context=context, secrets=secrets)
        _run([build], engine, say)
    with images.naming(image.recipe), images.removed_afterwards(engine, base):
        _run(_finishing(engine.program, image, base, archive), engine, say)


def _run(steps: Sequence[Step], engine: Engine, say: shell.Say) -> None:
    for step in steps:
        say(step.doing)
        shell.run(
            step.command,
            doing=step.doing,
            timeout_seconds=step.timeout_seconds,
            environment=engine.environment,
            directory=ROOT,
        )


def require_labels(name: str, found: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    """Raise HarnessError where an image came out without a label."""
    absent = [label for label, value in wanted.items() if found.get(label) != value]
    if absent:
        raise HarnessError(f"image {name} came out without {', '.join(absent)}; use a newer docker or podman")

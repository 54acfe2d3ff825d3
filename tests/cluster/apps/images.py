"""Images of the tests' own applications, built as the worker image is, with what each needs out of the project's lock.

None of them holds anything of this project: not the reference application, not the publisher's library.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from harness.chart import yaml_strict
from harness.cluster import images, kindconfig, programs, recipes, requirements, setup
from harness.cluster.kind import Kind
from harness.cluster.versions import ROOT, versions
from tests.cluster.place import Place

APPS = Path(__file__).parent


@dataclass(frozen=True)
class Application:
    """One of the folders beside this file: sources, and the values that install it."""

    name: str
    needs: tuple[str, ...]

    @property
    def directory(self) -> Path:
        return APPS / self.name

    @property
    def values(self) -> Path:
        return self.directory / "values.yaml"

    @property
    def image(self) -> str:
        """The image's name as containerd knows it."""
        image = yaml_strict.load_file(self.values)["image"]
        return f"docker.io/library/{image['repository']}:{image['tag']}"

    def stage(self, context: Path) -> None:
        """Put the sources and their requirements beside the Containerfile."""
        shutil.copytree(
            self.directory, context / "application", ignore=shutil.ignore_patterns("__pycache__", "values.yaml")
        )
        (context / "requirements.txt").write_text(self.requirements())

    def requirements(self) -> str:
        """Return the locked requirements."""
        names = requirements.closure(self.needs, requires=requirements.installed_requires)
        return requirements.locked_part((ROOT / "requirements.lock").read_text(), names)

    def recipe(self, *, packaged: bool) -> recipes.Recipe:
        """Return the image's recipe, on Debian's Python or on the public Python image."""
        pinned = versions()
        content = recipes.content_hash(self.directory) + self.requirements()
        return recipes.Recipe(
            folder="worker",
            reference=self.image,
            stage=self.stage,
            inputs=(pinned.debian["worker"], hashlib.sha256(content.encode()).hexdigest()),
            root="worker" if packaged else None,
            root_argument="BASE",
            arguments={} if packaged else {"BASE": pinned.public_images["worker"]},
        )


PARCELS = Application("parcels", ("celery", "prometheus-client"))  # its release has an exporter
BOOKSHOP = Application("bookshop", ("celery", "django"))


def load(place: Place, application: Application) -> None:
    """Build an application's image, unless it is there, and give it to the nodes of our kind cluster."""
    assert place.engine is not None
    name = kindconfig.cluster_name(os.environ)
    packaged = setup.status(name)["way"] == "packages"
    archive = images.Builder(place.engine, versions()).archive(application.recipe(packaged=packaged))
    Kind(programs.find_kind(versions().kind), place.engine, name).load([archive])

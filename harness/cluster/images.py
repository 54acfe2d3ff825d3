"""Builds images from recipes; an image that was built once is taken from the cache."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness import tools
from harness.cluster import distribution, pipconf, recipes, shell
from harness.cluster.engine import Engine
from harness.cluster.recipes import IMAGES, Recipe
from harness.cluster.versions import Versions
from harness.errors import HarnessError

KEPT_ARCHIVES = 3  # so that going back and forth between versions builds nothing


@dataclass(frozen=True)
class Builder:
    """Builds with one engine and keeps archives under the cache."""

    engine: Engine
    versions: Versions
    say: shell.Say = shell.say

    def archives(self, wanted: Iterable[Recipe]) -> list[Path]:
        """Return one archive an image, in order. Raises HarnessError."""
        return [self.archive(recipe) for recipe in wanted]

    def archive(self, recipe: Recipe) -> Path:
        """Return the image as a file that containerd imports, built when the cache has none. Raises HarnessError."""
        target = tools.cache_home() / "images" / f"{recipe.name}-{recipe.fingerprint()}.tar"
        if target.exists():
            return target
        with tools.locked(target.with_suffix(".lock"), doing=f"build of {recipe.name}"):
            if not target.exists():
                self._build_archive(recipe, target)
        return target

    def stored(self, recipe: Recipe) -> str:
        """Return the name, by content, of an image in the engine's own store; built when it is not there."""
        tag = name_by_content(recipe)
        lock = tools.cache_home() / "images" / f"{recipe.name}-{recipe.fingerprint()}.lock"
        with tools.locked(lock, doing=f"build of {recipe.name}"):
            if not self.engine.has_image(tag):
                self._build(recipe, tag)
        return tag

    def _build_archive(self, recipe: Recipe, target: Path) -> None:
        tag = name_by_content(recipe)
        self._build(recipe, tag)
        with naming(recipe):
            self.engine.run("tag", tag, recipe.reference, doing=f"naming {recipe.reference}")
            with _beside(target) as directory:
                made = directory / target.name
                self.engine.save([recipe.reference], made)
                made.replace(target)
            self._drop_older(recipe)
            # The archive is what is used from here on; the engine's copy would only take room.
            remove(self.engine, recipe.reference, tag)

    def _drop_older(self, recipe: Recipe) -> None:
        """Keep the newest archives of an image only: each change of the application leaves some hundred megabytes."""
        archives = [path for path in _archives() if path.stem.rpartition("-")[0] == recipe.name]
        for old in sorted(archives, key=lambda path: path.stat().st_mtime, reverse=True)[KEPT_ARCHIVES:]:
            old.unlink(missing_ok=True)

    def _build(self, recipe: Recipe, tag: str) -> None:
        started = time.monotonic()
        self.say(f"building image {recipe.name}")
        arguments = {**recipe.arguments, **self._root_argument(recipe)}
        with _beside(tools.cache_home() / "images" / "context") as context, pipconf.secrets() as secrets:
            shutil.copytree(IMAGES / recipe.folder, context, symlinks=True, dirs_exist_ok=True)
            recipe.stage(context)
            self.engine.build(context, tag=tag, arguments=arguments, secrets=secrets)
        self.say(f"built image {recipe.name} in {time.monotonic() - started:.0f} s")

    def _root_argument(self, recipe: Recipe) -> Mapping[str, str]:
        if recipe.root is None:
            return {}
        release = self.versions.debian[recipe.root]
        archive = distribution.root_archive(release, recipes.packages(recipe.root), say=self.say)
        tag = f"localhost/celery-workers/root-{recipe.root}:{archive.stem.rsplit('-', 1)[-1]}"
        if not self.engine.has_image(tag):
            self.engine.run("import", archive, tag, doing=f"importing the {recipe.root} root", timeout_seconds=300)
        return {recipe.root_argument: tag}


def name_by_content(recipe: Recipe) -> str:
    """Return the name that an image has in the engine's own store: another one for other content."""
    return f"localhost/celery-workers/{recipe.name}:{recipe.fingerprint()}"


def naming(recipe: Recipe) -> contextlib.AbstractContextManager[None]:
    """Hold this while the engine has an image under the name that it is used by: others would give it to theirs."""
    lock = tools.cache_home() / "images" / f"{recipe.name}-naming.lock"
    return tools.locked(lock, doing=f"naming of {recipe.name}")


@contextlib.contextmanager
def removed_afterwards(engine: Engine, *references: str) -> Iterator[None]:
    """Have none of these in the engine's own store after the block, however it ends. Raises HarnessError."""
    wanted = tuple(dict.fromkeys(references))
    try:
        yield
    except BaseException:
        there = [one for one in wanted if engine.has_image(one)]
        with contextlib.suppress(HarnessError):  # what went wrong before is what should be told
            if there:
                remove(engine, *there)
        raise
    remove(engine, *wanted)


def remove(engine: Engine, *references: str) -> None:
    """Remove images from the engine's own store."""
    engine.run("rmi", "--force", *references, doing=f"removing {references[-1]} from the engine", timeout_seconds=120)


def _archives() -> list[Path]:
    return list((tools.cache_home() / "images").glob("*.tar"))


@contextlib.contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """Yield a directory on the target's file system, removed afterwards."""
    target.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=".new-", dir=target.parent))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)

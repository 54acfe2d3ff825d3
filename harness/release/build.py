"""Makes what a release hands out, in a folder that appears whole or not at all."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cyclonedx.validation.json import JsonStrictValidator

from harness.chart.values import defaults
from harness.cluster import requirements, shell
from harness.cluster.way import Way
from harness.errors import HarnessError, InputError
from harness.release import bom, chart_package, checkout, image_archive, released_images
from harness.release import plan as plans
from harness.release.checkout import Commit
from harness.release.plan import NOTES, SUMS, Plan
from harness.release.released_images import Image
from harness.release.rules import CHART_FILE, Tree

BILL = ".cdx.json"
_BLOCK_BYTES = 1 << 20
_LEVEL = 6

WriteArchive = Callable[[Image, Path], None]


@dataclass(frozen=True)
class Made:
    """A release that is there: its folder, the SHA-256 of each file, and which archive is which image."""

    directory: Path
    sha256: Mapping[str, str]
    archives: Mapping[str, str]


def planned(root: Path, tree: Tree, at: Commit, *, snapshot: bool) -> Plan:
    """Return what would be made of a checkout. Raises InputError as `plan`."""
    chart_file = root / CHART_FILE
    return plans.plan(
        tree,
        chart_text=checkout.read(chart_file),
        values=defaults(chart_file.parent),
        committed_seconds=at.seconds,
        snapshot=snapshot,
    )


def by(choose: Callable[[], Way], *, say: shell.Say) -> WriteArchive:
    """Return what writes the archives of images by the way that is chosen when the first one is wanted."""
    chosen: list[Way] = []

    def write(image: Image, archive: Path) -> None:
        if not chosen:
            chosen.append(choose())
            say(str(chosen[0]))
        released_images.write(chosen[0], image, archive, say=say)

    return write


def build(
    root: Path,
    plan: Plan,
    output: Path,
    *,
    images: Sequence[Image],
    write_archive: WriteArchive,
    require_unchanged: Callable[[], None],
    say: shell.Say,
    helm: Path | None = None,
) -> Made:
    """Make the release's folder in `output`; one of the same name is replaced.

    `require_unchanged` is called when all is made, which takes minutes, and what it raises keeps the folder away.
    Raises InputError where none can be there, HarnessError.
    """
    target = output / plan.name
    with _beside(target) as directory:
        made = directory / plan.name
        made.mkdir(mode=0o755)
        _chart(root, plan, made, helm)
        archives = {_image(image, plan, made, write_archive, say): image.reference for image in images}
        (made / NOTES).write_text(plan.notes, encoding="utf-8")
        sums = {path.name: sha256(path) for path in sorted(made.iterdir())}
        (made / SUMS).write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()))
        require_unchanged()
        if target.exists():
            target.replace(directory / "before")  # whole, too, until the new one is there
        made.replace(target)
    return Made(target, sums, archives)


@contextlib.contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """Yield a directory on the target's file system, removed afterwards.

    Raises InputError where there can be none, HarnessError for a file that cannot be read or written in the block.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        directory = tempfile.TemporaryDirectory(prefix=".release-", dir=target.parent)
    except OSError as error:
        raise InputError(f"--output {target.parent}: {error.strerror}; name a folder you may write to") from error
    with directory as made:
        try:
            yield Path(made)
        except OSError as error:
            raise HarnessError(
                f"{error.filename or target}: {error.strerror}; nothing is kept of what was made: see to the file's "
                "rights or the room on the disk, and make it again"
            ) from error


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _chart(root: Path, plan: Plan, made: Path, helm: Path | None) -> None:
    package = made / f"{plan.name}.tgz"
    chart = (root / CHART_FILE).parent
    chart_package.package(
        chart,
        package,
        files=checkout.files(root, chart),
        description=plan.chart_text,
        seconds=plan.committed_seconds,
        helm=helm,
    )
    subject = plan.subject(
        plan.chart["name"],
        version=plan.version,
        description=str(plan.chart.get("description", "")),
        sha256=sha256(package),
    )
    _write_bill(made / f"{plan.name}{BILL}", bom.of_chart(subject, plan.images))


def _image(image: Image, plan: Plan, made: Path, write_archive: WriteArchive, say: shell.Say) -> str:
    """Write an image's archive and bill, and return the archive's name."""
    archive = made.parent / f"{image.name}.tar"
    write_archive(image, archive)
    say(f"listing what is in image {image.name}")
    contents = image_archive.read(archive)
    released_images.require_labels(image.name, contents.labels, image.labels)
    name = f"{image.name}-{plan.app_version}-linux-{contents.architecture}"
    say(f"compressing image {image.name}")
    compressed = made / f"{name}.tar.gz"
    _compress(archive, compressed)
    archive.unlink()
    subject = plan.subject(
        image.name,
        version=plan.app_version,
        description=image.description,
        sha256=sha256(compressed),
    )
    needs = bom.locked(requirements.entries(image.needs))
    _write_bill(made / f"{name}{BILL}", bom.of_image(subject, contents, needs))
    return compressed.name


def _compress(source: Path, target: Path) -> None:
    """Compress a file; the same bytes give the same bytes."""
    with (
        source.open("rb") as plain,
        target.open("wb") as out,
        gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=out, mtime=0) as packed,
    ):
        shutil.copyfileobj(plain, packed, _BLOCK_BYTES)


def _write_bill(path: Path, text: str) -> None:
    problem = JsonStrictValidator(bom.SCHEMA).validate_str(text)
    if problem is not None:
        raise HarnessError(f"{path.name}: not a bill by CycloneDX's schema: {str(problem).splitlines()[0]}")
    path.write_text(text, encoding="utf-8")

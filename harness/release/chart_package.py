"""The chart as one file that is the same, byte by byte, whenever the same commit is packaged.

Helm chooses what goes in and checks it. It writes the time of day into the file, so the file is written once more: in
order of names, with the commit's time, and nobody's name.
"""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness import scratch, tools
from harness.cluster import shell

HELM_SECONDS = 60.0
_LEVEL = 9


def package(
    chart: Path, target: Path, *, files: Iterable[str], description: str, seconds: int, helm: Path | None = None
) -> None:
    """Write the package of a chart, with this text for its Chart.yaml, and times of `seconds` since 1970.

    Of `files`, which are named from the chart's folder, it has those that helm takes, and no others. Raises
    HarnessError where helm refuses the chart.
    """
    with scratch.directory("chart") as directory:
        copy = directory / chart.name
        for name in files:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(chart / name, copy / name)
        (copy / "Chart.yaml").write_text(description, encoding="utf-8")
        made = directory / "made"
        command: list[str | Path] = [helm or tools.find_helm(), "package", copy, "--destination", made]
        shell.run(command, doing="packaging the chart", timeout_seconds=HELM_SECONDS)
        (archive,) = made.glob("*.tgz")
        target.write_bytes(repacked(archive.read_bytes(), seconds=seconds))


def repacked(archive: bytes, *, seconds: int) -> bytes:
    """Return a compressed archive of the same files whose bytes follow from their names and contents alone."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as out:
        for name, content in sorted(_files(archive), key=_order):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = len(content), seconds, 0o644
            out.addfile(entry, io.BytesIO(content))
    return gzip.compress(plain.getvalue(), _LEVEL, mtime=seconds)


def _files(archive: bytes) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as opened:
        for entry in opened:
            content = opened.extractfile(entry)
            if content is not None:
                yield entry.name, content.read()


def _order(file: tuple[str, bytes]) -> tuple[bool, str]:
    """Chart.yaml comes first: whoever lists charts reads no further."""
    return file[0].count("/") != 1 or not file[0].endswith("/Chart.yaml"), file[0]

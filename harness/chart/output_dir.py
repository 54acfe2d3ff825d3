"""Writes rendered objects as files for `kubectl apply -f`: the whole directory appears, or nothing changes."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.chart import yaml_strict
from harness.chart.manifests import Manifest, is_hook, name_of
from harness.errors import InputError

LIST = ".harness-render"  # names what was written; kubectl reads .yaml and .json only


def files(manifests: Sequence[Manifest]) -> dict[str, Manifest]:
    """Return file name -> object, numbered in the order helm installs them; hooks (`helm test`'s pod) are left out.

    >>> list(files([{"kind": "ConfigMap", "metadata": {"name": "a"}}, {"kind": "Job", "metadata": {"name": "b"}}]))
    ['01-configmap-a.yaml', '02-job-b.yaml']
    """
    kept = [manifest for manifest in manifests if not is_hook(manifest)]
    digits = max(2, len(str(len(kept))))
    return {
        f"{number:0{digits}}-{manifest.get('kind', 'object')}-{name_of(manifest)}.yaml".lower(): manifest
        for number, manifest in enumerate(kept, start=1)
    }


def write(directory: Path, contents: Mapping[str, Manifest]) -> list[Path]:
    """Write one file an object and return them; files of an earlier call there are replaced.

    Raises InputError when the directory holds anything else, or cannot be written.
    """
    try:
        target = directory.resolve()
        _refuse_others(directory, target)
        target.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            _fill(made, contents)
            _put(made, target)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    except OSError as error:
        raise InputError(
            f"--output-dir {directory}: {error.strerror}; name a directory that you may make or replace"
        ) from error
    return [directory / name for name in contents]


def _refuse_others(directory: Path, target: Path) -> None:
    if not target.exists():
        return
    found = {path.name for path in target.iterdir()}
    written = set((target / LIST).read_text(encoding="utf-8").split()) if LIST in found else set()
    others = sorted(found - written - {LIST})
    if others:
        raise InputError(
            f"--output-dir {directory}: holds {others[0]}, which no render wrote; name a new or an empty directory"
        )


def _fill(made: Path, contents: Mapping[str, Manifest]) -> None:
    for name, manifest in contents.items():
        (made / name).write_text(yaml_strict.dump_all([manifest]), encoding="utf-8")
    (made / LIST).write_text("".join(f"{name}\n" for name in contents), encoding="utf-8")
    umask = os.umask(0)
    os.umask(umask)
    made.chmod(0o777 & ~umask)  # temporary directories are private, manifests are for others to read


def _put(made: Path, target: Path) -> None:
    """Give the new directory the target's place; a crash in between leaves the old one beside it."""
    if not target.exists():
        made.rename(target)
        return
    former = Path(tempfile.mkdtemp(prefix=f".{target.name}-former-", dir=target.parent))
    target.rename(former)
    try:
        made.rename(target)
    except OSError:
        former.rename(target)
        raise
    shutil.rmtree(former)

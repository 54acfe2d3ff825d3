"""What is in an image, read from the archive that `podman save` or `docker save` wrote: no engine is asked."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath
from typing import IO, Any

from packaging.metadata import RawMetadata, parse_email
from packaging.utils import canonicalize_name

from harness.errors import HarnessError

_DPKG = "var/lib/dpkg/status"
_SYSTEM = ("usr/lib/os-release", "etc/os-release")
_DISTRIBUTION = re.compile(r".*/[^/]+\.dist-info/METADATA")
_DEBIANS_OWN = "usr/lib/python3/dist-packages/"  # Debian's packages have brought it, and stand in dpkg's list
_GONE, _ALL_GONE = ".wh.", ".wh..wh..opq"  # how a layer says that a file, or all of a directory, is no more


@dataclass(frozen=True)
class DebianPackage:
    """A package of the distribution that is installed, and the source package it was built from."""

    name: str
    version: str
    architecture: str
    source: str


@dataclass(frozen=True)
class PythonPackage:
    """A distribution that is installed: where, and what it says of its own licence."""

    name: str
    version: str
    license: str | None
    directory: str


@dataclass(frozen=True)
class Contents:
    """What an image holds, and what its configuration says. `system` is the distribution's own name, as `debian-12`."""

    architecture: str
    labels: Mapping[str, str]
    environment: Mapping[str, str]
    system: str | None
    debian: tuple[DebianPackage, ...]
    python: tuple[PythonPackage, ...]


def read(archive: Path) -> Contents:
    """Return what is in the one image of an archive. Raises HarnessError for a file that is no such archive."""
    try:
        with tarfile.open(archive) as opened:
            (image,) = json.load(_member(opened, "manifest.json"))
            configuration = json.load(_member(opened, image["Config"]))
            files = _interesting(_member(opened, layer) for layer in image["Layers"])
        return contents(configuration, files)
    except (tarfile.TarError, OSError, ValueError, KeyError) as error:
        raise HarnessError(f"{archive.name}: no archive of one image: {error}; remove it and build again") from error


def contents(configuration: Mapping[str, Any], files: Mapping[str, str]) -> Contents:
    """Return what the image's configuration and the text of its interesting files say."""
    settings = configuration.get("config") or {}
    python = [_python(path, text) for path, text in files.items() if _DISTRIBUTION.fullmatch(path)]
    return Contents(
        architecture=configuration["architecture"],
        labels=settings.get("Labels") or {},
        environment=dict(one.split("=", 1) for one in settings.get("Env") or ()),
        system=_system(next((files[name] for name in _SYSTEM if name in files), "")),
        debian=tuple(sorted(_debian(files.get(_DPKG, "")), key=lambda one: (one.name, one.architecture))),
        python=tuple(sorted(python, key=lambda one: (one.name, one.directory))),
    )


def _member(opened: tarfile.TarFile, name: str) -> IO[bytes]:
    found = opened.extractfile(name)
    if found is None:
        raise KeyError(name)
    return found


def _interesting(layers: Iterable[IO[bytes]]) -> dict[str, str]:
    """Return the files that say what is installed, as the uppermost layer has them."""
    found: dict[str, str] = {}
    for layer in layers:
        with tarfile.open(fileobj=layer) as opened:
            new = {}
            for entry in opened:
                path = str(PurePosixPath(entry.name))
                _forget(found, path)
                if _is_interesting(path) and entry.isfile():
                    content = opened.extractfile(entry)
                    assert content is not None  # of a file
                    new[path] = content.read().decode("utf-8", "replace")
        found |= new
    return found


def _is_interesting(path: str) -> bool:
    return path in (_DPKG, *_SYSTEM) or (
        _DISTRIBUTION.fullmatch(path) is not None and not path.startswith(_DEBIANS_OWN)
    )


def _forget(found: dict[str, str], path: str) -> None:
    """Drop what a layer's entry says is gone."""
    directory, _, name = path.rpartition("/")
    if not name.startswith(_GONE):
        return
    gone = directory if name == _ALL_GONE else f"{directory}/{name.removeprefix(_GONE)}".lstrip("/")
    for known in [one for one in found if one == gone or one.startswith(f"{gone}/")]:
        del found[known]


def _debian(status: str) -> Iterator[DebianPackage]:
    for paragraph in status.split("\n\n"):
        fields = HeaderParser().parsestr(paragraph.strip())
        if (fields["Status"] or "").split()[-1:] == ["installed"]:
            name, version = fields["Package"], fields["Version"]
            yield DebianPackage(name, version, fields["Architecture"], _source(fields["Source"], name, version))


def _source(field: str | None, name: str, version: str) -> str:
    """Return the source package as name@version; dpkg leaves out what is as in the package itself.

    >>> _source(None, "dash", "0.5"), _source("glibc", "libc6", "2.36"), _source("gcc (12)", "libgcc-s1", "12-1")
    ('dash@0.5', 'glibc@2.36', 'gcc@12')
    """
    found = re.fullmatch(r"(\S+)(?: \((.+)\))?", field or name)
    return f"{found[1]}@{found[2] or version}" if found else f"{name}@{version}"


def _python(path: str, text: str) -> PythonPackage:
    metadata, _ = parse_email(text)
    directory = str(PurePosixPath(path).parent.parent)
    return PythonPackage(canonicalize_name(metadata["name"]), metadata["version"], _license(metadata), directory)


def _license(metadata: RawMetadata) -> str | None:
    """Return an SPDX expression, else a licence's short name, else the classifiers' names, else nothing."""
    named = metadata.get("license_expression") or metadata.get("license") or ""
    if named and "\n" not in named.strip() and named.strip().upper() != "UNKNOWN":
        return named.strip()
    classified = [one.rpartition(" :: ")[2] for one in metadata.get("classifiers", ()) if one.startswith("License :: ")]
    return "; ".join(classified) or None


def _system(os_release: str) -> str | None:
    fields = dict(re.findall(r'^([A-Z_]+)="?([^"\n]*)"?$', os_release, re.MULTILINE))
    return f"{fields['ID']}-{fields['VERSION_ID']}" if {"ID", "VERSION_ID"} <= fields.keys() else None

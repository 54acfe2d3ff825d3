"""A tree that is fit for a release, an image's archive, and what they are made of."""

from __future__ import annotations

import io
import json
import tarfile
from datetime import date
from pathlib import Path
from typing import Any

from harness.release.rules import Tree

REVISION = "0123456789abcdef0123456789abcdef01234567"
CHANGELOG = """# Changelog

## [Unreleased]

### Added
- Not yet.

## [1.2.0] - 2026-01-02

### Added
- One thing,
  in two lines.

### Fixed
- A third.

## [1.1.0] - 2026-01-01

### Added
- Long ago.
"""
CHART: dict[str, Any] = {
    "name": "celery-workers",
    "description": "A chart",
    "version": "1.2.0",
    "appVersion": "0.4.0",
    "sources": ["https://project.example/source"],
    "maintainers": [{"name": "the maintainers"}],
    "annotations": {
        "artifacthub.io/license": "Apache-2.0",
        "artifacthub.io/links": "- {name: documentation, url: https://project.example/docs}\n",
    },
}
CHART_TEXT = """name: celery-workers
version: 1.2.0
appVersion: "0.4.0"
annotations:
  artifacthub.io/license: Apache-2.0
"""
VALUES = {
    "image": {"repository": "examx", "tag": None},
    "headroom": {"image": {"repository": "registry.example/pause", "tag": "3.10"}},
    "broker": {"embedded": {"image": {"repository": "docker.io/library/rabbitmq", "tag": "4.0.5"}}},
}
FIT = Tree(
    chart=CHART,
    project_version="0.4.0",
    changelog=CHANGELOG.replace("### Added\n- Not yet.\n\n", ""),
    tags={"v1.1.0": "f" * 40, "nightly": REVISION},
    revision=REVISION,
    uncommitted=(),
    stale=(),
    last_day=date(2026, 1, 3),
)

STATUS = """Package: dash
Status: install ok installed
Architecture: amd64
Version: 0.5.12-2
Description: shell
 of few words

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: libc6
Status: install ok installed
Architecture: amd64
Source: glibc
Version: 2.36-9+deb12u14
"""
PACKAGES = "opt/venv/lib/python3.11/site-packages"


def metadata(name: str, version: str, *more: str) -> str:
    return "\n".join(["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", *more, "", "About it."])


LAYERS: tuple[dict[str, str], ...] = (
    {
        "var/lib/dpkg/status": STATUS.partition("\n\n")[0],
        "usr/lib/os-release": 'ID=debian\nVERSION_ID="12"\n',
        "usr/lib/python3/dist-packages/apt-2.0.dist-info/METADATA": metadata("apt", "2.0"),
        f"{PACKAGES}/old-1.0.dist-info/METADATA": metadata("old", "1.0"),
        "usr/bin/dash": "not of interest",
    },
    {
        "var/lib/dpkg/status": STATUS,
        f"{PACKAGES}/.wh.old-1.0.dist-info": "",
        f"{PACKAGES}/Zope_Event-6.2.dist-info/METADATA": metadata("Zope.Event", "6.2", "License-Expression: ZPL-2.1"),
        f"{PACKAGES}/amqp-5.4.2.dist-info/METADATA": metadata(
            "amqp", "5.4.2", "License: UNKNOWN", "Classifier: License :: OSI Approved :: BSD License"
        ),
        f"{PACKAGES}/silent-1.dist-info/METADATA": metadata("silent", "1"),
    },
)
LOCK = {
    "amqp": f"amqp==5.4.2 \\\n    --hash=sha256:{'a' * 64} \\\n    --hash=sha256:{'b' * 64}\n",
    "silent": f"silent==1 \\\n    --hash=sha256:{'c' * 64}\n",
    "zope-event": f"zope-event==6.2 \\\n    --hash=sha256:{'d' * 64}\n",
}


def archive(
    path: Path, layers: tuple[dict[str, str], ...] = LAYERS, *, labels: dict[str, str] | None = None, python: str = ""
) -> Path:
    """Write an image's archive as `podman save` does."""
    environment = ["PATH=/usr/bin", *([f"PYTHON_VERSION={python}"] if python else [])]
    configuration = {"architecture": "amd64", "config": {"Labels": labels, "Env": environment}}
    files = {f"{number}.tar": packed(layer) for number, layer in enumerate(layers)}
    manifest = [{"Config": "configuration.json", "RepoTags": ["x:1"], "Layers": list(files)}]
    files["configuration.json"] = json.dumps(configuration).encode()
    files["manifest.json"] = json.dumps(manifest).encode()
    path.write_bytes(packed(files))
    return path


def packed(files: dict[str, str] | dict[str, bytes]) -> bytes:
    """Return a tar file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            made.addfile(entry, io.BytesIO(data))
    return out.getvalue()

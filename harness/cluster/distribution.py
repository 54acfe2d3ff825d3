"""Debian's packages: programs for this machine, and root file systems for images."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness import tools
from harness.cluster import shell
from harness.errors import InputError
from harness.packages import TURN_SECONDS, one_at_a_time, services_held_back

# What must be there, by the program that shows it is.
ENGINE_PACKAGES: Mapping[str, str] = {
    "podman": "podman",
    "runc": "runc",  # crun refuses a machine that mounts both cgroup versions
    "/usr/lib/podman/netavark": "netavark",
    "/usr/lib/podman/aardvark-dns": "aardvark-dns",
    "iptables": "iptables",
    "newuidmap": "uidmap",
    "catatonit": "catatonit",
}
ROOT_PACKAGES: Mapping[str, str] = {
    "mmdebstrap": "mmdebstrap",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
}
INSTALL_SECONDS = TURN_SECONDS / 2  # of each of two steps: nobody waits longer for this turn
ROOT_SECONDS = 600.0
_RECIPE = 1  # counted up when the way a root file system is made changes


def missing(needed: Mapping[str, str]) -> list[str]:
    """Return the packages whose program or file is not there."""
    return [package for program, package in needed.items() if not _there(program)]


def require(needed: Mapping[str, str], *, say: shell.Say) -> None:
    """Install what is missing of these packages. Raises InputError where we may not, HarnessError when it fails."""
    absent = missing(needed)
    if not absent:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise InputError(
            f"{', '.join(absent)} missing: run `apt-get install {' '.join(absent)}` as root on Debian 12 or newer "
            "(a cluster from packages alone is made on Debian, as root; elsewhere use Docker or podman with a registry)"
        )
    say(f"installing {' '.join(absent)} from the distribution")
    with one_at_a_time(), services_held_back():
        _apt("update")
        _apt("install", "--yes", "--no-install-recommends", *absent)


def root_archive(release: str, packages: Sequence[str], *, say: shell.Say) -> Path:
    """Return a tar file of a Debian root file system with these packages, made when missing. Raises HarnessError."""
    recipe = repr((_RECIPE, release, sorted(packages), platform.machine()))
    target = tools.cache_home() / "roots" / f"{release}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}.tar"
    if target.exists():
        return target
    require(ROOT_PACKAGES, say=say)
    target.parent.mkdir(parents=True, exist_ok=True)
    say(f"making a Debian {release} root file system with {len(packages)} packages")
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".new-") as directory:
        made = Path(directory) / "root.tar"
        shell.run(
            _mmdebstrap(release, packages, made), doing=f"making the {release} root", timeout_seconds=ROOT_SECONDS
        )
        made.replace(target)
    return target


def mirror_of(index_targets: str) -> str | None:
    """Return Debian's own archive out of `apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)'`.

    >>> mirror_of("Debian Debian-Security http://a.example/debian-security/\\nDebian Debian http://a.example/debian/")
    'http://a.example/debian'
    """
    found = re.search(r"^Debian Debian (\S+)$", index_targets, re.MULTILINE)
    return found[1].rstrip("/") if found else None


def _mmdebstrap(release: str, packages: Sequence[str], target: Path) -> list[str | Path]:
    # The machine's proxy and certificate settings are used, and removed again with the list of archives.
    settings = [line.strip() for line in _transport_settings() if line.strip()]
    remove = (
        'rm -f "$1"/etc/apt/apt.conf.d/99mmdebstrap "$1"/etc/apt/sources.list "$1"/etc/resolv.conf "$1"/etc/hostname'
    )
    return [
        "mmdebstrap",
        "--quiet",
        "--variant=apt",
        "--mode=root",
        "--skip=output/dev",
        '--aptopt=Apt::Install-Recommends "false"',
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        *(f"--aptopt={setting}" for setting in settings),
        f"--customize-hook={remove}",
        f"--include={','.join(packages)}",
        release,
        target,
        _mirror(),
    ]


def _mirror() -> str:
    configured = os.environ.get("DEBIAN_MIRROR")
    if configured:
        return configured
    listed = tools.answer(["apt-get", "indextargets", "--format", "$(ORIGIN) $(LABEL) $(REPO_URI)"])
    found = mirror_of(listed)
    if found is None:
        raise InputError("apt knows no Debian archive (run apt-get update first): set DEBIAN_MIRROR to the URL of one")
    return found


def _transport_settings() -> list[str]:
    """Return apt's own settings about proxies and certificates, as configuration lines."""
    listed = tools.answer(["apt-config", "dump", "--no-empty", "Acquire::http", "Acquire::https"])
    return [line for line in listed.splitlines() if re.search(r"(Proxy|CaInfo|CaPath|Verify)", line)]


def _there(program: str) -> bool:
    return Path(program).exists() if program.startswith("/") else shutil.which(program) is not None


def _apt(*arguments: str) -> None:
    shell.run(
        ["apt-get", "--quiet", "-o", "DPkg::Lock::Timeout=120", *arguments],
        doing=f"apt-get {arguments[0]}",
        timeout_seconds=INSTALL_SECONDS,
        environment={"DEBIAN_FRONTEND": "noninteractive"},
    )

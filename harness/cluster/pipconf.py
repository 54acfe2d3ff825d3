"""The machine's own pip settings, for builds that read them as secrets."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness import scratch, tools

# What decides where packages come from; local directories are not among them, a build cannot see them.
_PASSED = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout", "retries")
_BUNDLE_IN_BUILD = "/run/ca-bundle.pem"
_SYSTEM_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


@contextlib.contextmanager
def secrets() -> Iterator[Mapping[str, Path]]:
    """Yield the files a build step may read, pip's configuration and our certificates; removed afterwards."""
    with scratch.directory("pip") as directory:
        yield write(directory)


def write(directory: Path) -> Mapping[str, Path]:
    """Write these files to a directory that only we may read, and return them; an index's password can be in one."""
    listed = tools.answer([sys.executable, "-m", "pip", "config", "list"])
    bundle = ca_bundle(os.environ)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
    configuration, certificates = directory / "pip.conf", directory / "ca-bundle.pem"
    certificates.write_bytes(bundle.read_bytes() if bundle else b"")
    configuration.write_text(render(settings(listed), certificates=bundle is not None))
    return {"pip-conf": configuration, "ca-bundle": certificates}


def settings(listed: str) -> dict[str, str]:
    """Return the settings a build needs out of `pip config list`; the environment's win over a file's, as in pip.

    >>> settings("global.proxy='a'\\n:env:.proxy='b'\\nglobal.find-links='/x'\\n")
    {'proxy': 'b'}
    """
    found: dict[str, str] = {}
    for from_environment in (False, True):
        for line in listed.splitlines():
            key, _, value = line.partition("=")
            name = key.rsplit(".", 1)[-1]
            if name in _PASSED and key.startswith(":env:") == from_environment:
                found[name] = value.strip().strip("'\"")
    return found


def render(passed: Mapping[str, str], *, certificates: bool) -> str:
    """Return a pip.conf."""
    lines = ["[global]", *(f"{name} = {value}" for name, value in passed.items())]
    return "\n".join([*lines, *([f"cert = {_BUNDLE_IN_BUILD}"] if certificates else [])]) + "\n"


def ca_bundle(environment: Mapping[str, str]) -> Path | None:
    """Return the certificates this machine trusts for downloads."""
    named = [environment.get(name, "") for name in ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")]
    for candidate in (*map(Path, filter(None, named)), _SYSTEM_BUNDLE):
        if candidate.is_file():
            return candidate
    return None


__all__ = ["ca_bundle", "render", "secrets", "settings", "write"]

"""Installing a server from the distribution's packages, without its service being started."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from harness import scratch
from harness.errors import HarnessError
from harness.locks import locked
from harness.logs import tail

INSTALL_SECONDS = 300.0
TURN_SECONDS = 1200.0  # what another run may take; a cluster's packages take longest
POLICY_FILE = Path("/usr/sbin/policy-rc.d")
_LOG = logging.getLogger(__name__)
_DENY = "#!/bin/sh\n# Written for the time of one package installation: no service may start.\nexit 101\n"

Found = TypeVar("Found")


def can_install(*, user_id: int | None = None) -> bool:
    """Whether we are root on a Debian-like system."""
    root = (os.geteuid() if user_id is None else user_id) == 0
    return root and shutil.which("apt-get") is not None and Path("/etc/debian_version").exists()


def ensure(package: str, find: Callable[[], Found | None], *, what: str, help_text: str) -> Found:
    """What `find` returns, after installing `package` where it returns None.

    Raises HarnessError with `help_text` where packages cannot be installed here or did not bring it.
    """
    found = find()
    if found is None and can_install():
        with scratch.directory("apt") as directory:
            _install(package, find, what=what, help_text=help_text, log=directory / "apt.log")
        found = find()
        if found is None:
            raise HarnessError(f"{package} was installed but {what} was not found.\n{help_text}")
    if found is None:
        raise HarnessError(help_text)
    return found


def _install(package: str, find: Callable[[], object], *, what: str, help_text: str, log: Path) -> None:
    with one_at_a_time():
        if find() is not None:
            return  # another run installed it while we waited
        _LOG.info("installing %s from the distribution's packages (at most %.0f s)", what, INSTALL_SECONDS)
        with services_held_back():
            _apt(["update"], log=log, help_text=help_text)
            _apt(["install", "--yes", "--no-install-recommends", package], log=log, help_text=help_text)


@contextlib.contextmanager
def services_held_back(policy: Path = POLICY_FILE) -> Iterator[None]:
    """For the block's time packages must not start services; what was there before is put back, whatever happens."""
    before = (policy.read_bytes(), policy.stat().st_mode & 0o7777) if policy.exists() else None
    policy.write_text(_DENY)
    policy.chmod(0o755)
    try:
        yield
    finally:
        if before is None:
            policy.unlink(missing_ok=True)
        else:
            policy.write_bytes(before[0])
            policy.chmod(before[1])


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Install for the block's time alone: two runs side by side must not restore each other's policy file.

    Raises HarnessError where another run's installation does not end.
    """
    lock = Path(tempfile.gettempdir(), "celery-workers-apt.lock")
    doing = "installation of packages"
    with locked(lock, doing=doing, within_seconds=TURN_SECONDS, say=_LOG.info, late=HarnessError):
        yield


def _apt(arguments: Sequence[str], *, log: Path, help_text: str) -> None:
    command = ["apt-get", "--quiet", "-o", "DPkg::Lock::Timeout=120", *arguments]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        with log.open("ab") as output:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                timeout=INSTALL_SECONDS,
                check=False,
            )
    except subprocess.TimeoutExpired as error:
        raise HarnessError(f"`{' '.join(command)}` took longer than {INSTALL_SECONDS:.0f} s") from error
    if done.returncode != 0:
        raise HarnessError(f"`{' '.join(command)}` failed:\n{tail(log)}\n{help_text}")

"""Installing RabbitMQ from the distribution's packages."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.broker.logs import tail
from harness.broker.node import find_server
from harness.errors import HarnessError

INSTALL_SECONDS = 300.0
POLICY_FILE = Path("/usr/sbin/policy-rc.d")
_LOG = logging.getLogger(__name__)
_DENY = "#!/bin/sh\n# Written for the time of one package installation: no service may start.\nexit 101\n"

INSTALL_HELP = """\
no RabbitMQ in reach. Do one of these:
  Debian, Ubuntu   apt-get install rabbitmq-server   (as root this is done for you)
  Fedora           dnf install rabbitmq-server
  macOS            brew install rabbitmq
  any              start Docker or Podman, or set BROKER_URL=amqp://user:password@host:5672/vhost"""


def can_install(*, user_id: int | None = None) -> bool:
    """Whether we are root on a Debian-like system."""
    root = (os.geteuid() if user_id is None else user_id) == 0
    return root and shutil.which("apt-get") is not None and Path("/etc/debian_version").exists()


def install(*, log: Path) -> None:
    """Install rabbitmq-server without starting its service. Raises HarnessError with the end of apt's output."""
    with _one_at_a_time():
        if find_server() is not None:
            return  # another run installed it while we waited
        _LOG.info("installing RabbitMQ from the distribution's packages (at most %.0f s)", INSTALL_SECONDS)
        with services_held_back():
            _apt(["update"], log=log)
            _apt(["install", "--yes", "--no-install-recommends", "rabbitmq-server"], log=log)


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
def _one_at_a_time() -> Iterator[None]:
    """Two runs side by side must not restore each other's policy file."""
    with Path(tempfile.gettempdir(), "celery-workers-apt.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _apt(arguments: Sequence[str], *, log: Path) -> None:
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
        raise HarnessError(f"`{' '.join(command)}` failed:\n{tail(log)}\n{INSTALL_HELP}")

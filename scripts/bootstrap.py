#!/usr/bin/env python3
"""Make the virtualenv `.venv` from the hashed lock; the system's Python and its standard library are enough.

A second call with an unchanged lock returns at once. Two calls at the same time wait for each other.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
INPUTS = ("requirements.lock", "scripts/uv.lock", "pyproject.toml", "scripts/bootstrap.py")
MINIMUM = (3, 11)
INSTALL_TIMEOUT_SECONDS = 900
PIP_QUIET = ["--quiet", "--disable-pip-version-check", "--no-input"]


class SetupError(Exception):
    """Set-up cannot go on; the message says what to do."""


def fingerprint() -> str:
    """Return a hash of everything the virtualenv is made from."""
    digest = hashlib.sha256(sys.version.encode())
    for name in INPUTS:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def made_here() -> bool:
    """Tell whether the virtualenv was made at this path: in a copied checkout its programs run the original's code."""
    try:
        made = (VENV / "pyvenv.cfg").read_text()
    except OSError:
        return False
    return PYTHON.exists() and any(line.endswith(f" {VENV}") for line in made.splitlines())


def say(text: str) -> None:
    print(f"setup: {text}", file=sys.stderr, flush=True)


def run(arguments: list[str | Path], *, doing: str) -> None:
    """Run a command in the checkout; raise SetupError with its output when it fails."""
    try:
        done = subprocess.run(
            [str(a) for a in arguments],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=INSTALL_TIMEOUT_SECONDS,
        )
    except FileNotFoundError as error:
        raise SetupError(f"{doing}: {error.filename} not found") from error
    except subprocess.TimeoutExpired as error:
        raise SetupError(f"{doing}: no end after {INSTALL_TIMEOUT_SECONDS} s") from error
    if done.returncode:
        raise SetupError(f"{doing} failed:\n{done.stdout.strip()[-2000:]}")


def create_venv() -> None:
    """Create an empty virtualenv; as root on Debian, install python3-venv first when it is missing."""
    if made_here() and subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True).returncode == 0:
        return
    shutil.rmtree(VENV, ignore_errors=True)
    command: list[str | Path] = [sys.executable, "-m", "venv", VENV]
    try:
        run(command, doing="creating .venv")
    except SetupError as error:
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            raise SetupError(
                f"{error}\nInstall Python's venv module: Debian `apt-get install python3-venv`, Fedora "
                "`dnf install python3`, macOS `brew install python@3.11`."
            ) from error
        say("installing python3-venv from the distribution")
        run(["apt-get", "update", "-q"], doing="apt-get update")
        run(["apt-get", "install", "-y", "-q", "python3-venv"], doing="apt-get install python3-venv")
        shutil.rmtree(VENV, ignore_errors=True)
        run(command, doing="creating .venv")


def install() -> None:
    """Install the lock with uv (seconds) or, where uv cannot be had, with pip (a minute); then the checkout itself.

    Compiled, as pip does by itself: the workers of a local run write no bytecode, no more than in their image, and
    would compile Celery at every start and every probe.
    """
    pip: list[str | Path] = [PYTHON, "-m", "pip", "install", *PIP_QUIET, "--require-hashes", "-r"]
    try:
        run([*pip, "scripts/uv.lock"], doing="installing uv")
        uv: list[str | Path] = [VENV / "bin" / "uv", "pip", "install", "--quiet", "--python", PYTHON]
        run(
            [*uv, "--compile-bytecode", "--require-hashes", "-r", "requirements.lock"],
            doing="installing the lock with uv",
        )
    except SetupError as error:
        say(f"uv did not do it ({str(error).splitlines()[0]}); using pip")
        run([*pip, "requirements.lock"], doing="installing the lock with pip")
    editable: list[str | Path] = [
        PYTHON,
        "-m",
        "pip",
        "install",
        *PIP_QUIET,
        "--no-deps",
        "--no-build-isolation",
        "-e",
        ".",
    ]
    run(editable, doing="installing the checkout")


def main() -> int:
    if sys.version_info < MINIMUM:
        print(
            f"error: Python 3.11 or newer is needed, this is {sys.version.split()[0]}; set PYTHON=...", file=sys.stderr
        )
        return 2
    stamp = VENV / "made-from"
    with (ROOT / "scripts" / "bootstrap.py").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = fingerprint()
        if stamp.exists() and stamp.read_text() == wanted and made_here():
            return 0
        stamp.unlink(missing_ok=True)
        try:
            say("creating .venv")
            create_venv()
            say("installing the locked packages")
            install()
        except SetupError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("interrupted: the next call goes on from here", file=sys.stderr)
            return 130
        stamp.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())

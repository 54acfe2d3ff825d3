#!/usr/bin/env python3
"""Make the virtualenv `.venv` from the hashed lock; the system's Python and its standard library are enough.

A second call with an unchanged lock returns at once. Two calls at the same time wait for each other. `bootstrap.py
docs/requirements.lock` adds what another lock has, for those who need it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import source_from_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
INSTALLERS = "scripts/installers.lock"
INPUTS = ("requirements.lock", INSTALLERS, "pyproject.toml", "scripts/bootstrap.py")
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
    """Create an empty virtualenv; as root on Debian, install python3-venv first when it is missing.

    Where an earlier checkout left its uv, that one brings pip in a tenth of the time.
    """
    if made_here() and has_pip():
        return
    shutil.rmtree(VENV, ignore_errors=True)
    command: list[str | Path] = [sys.executable, "-m", "venv", VENV]
    if kept_uv().exists():
        run([*command, "--without-pip"], doing="creating .venv")
        return
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


def has_pip() -> bool:
    """Tell whether the virtualenv has a pip that runs."""
    return subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True).returncode == 0


def install_installers() -> None:
    """Install uv and pip: by the uv that an earlier checkout left, or by pip, which leaves its uv to later ones."""
    wanted = ["--require-hashes", "-r", INSTALLERS]
    shared = kept_uv()
    if shared.exists():
        run([shared, "pip", "install", "--quiet", "--python", PYTHON, *wanted], doing="installing uv and pip")
        return
    run([PYTHON, "-m", "pip", "install", *PIP_QUIET, *wanted], doing="installing uv")
    shared.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=shared.parent) as made:
        shutil.copy2(VENV / "bin" / "uv", Path(made) / "uv")
        (Path(made) / "uv").replace(shared)


def install() -> None:
    """Install the lock with uv (seconds) or, where uv cannot be had, with pip (a minute); then the checkout itself.

    Compiled, as pip does by itself: the workers of a local run write no bytecode, no more than in their image, and
    would compile Celery at every start and every probe.
    """
    pip: list[str | Path] = [PYTHON, "-m", "pip", "install", *PIP_QUIET]
    checkout: list[str | Path] = ["--no-deps", "--no-build-isolation", "-e", "."]
    try:
        install_installers()
        uv: list[str | Path] = [VENV / "bin" / "uv", "pip", "install", "--quiet", "--python", PYTHON]
        run([*uv, "--require-hashes", "-r", "requirements.lock"], doing="installing the lock with uv")
        compile_bytecode()
        run([*uv, *checkout], doing="installing the checkout with uv")
    except SetupError as error:
        say(f"uv did not do it ({str(error).splitlines()[0]}); using pip")
        if not has_pip():
            run([PYTHON, "-m", "ensurepip"], doing="installing pip")
        run([*pip, "--require-hashes", "-r", "requirements.lock"], doing="installing the lock with pip")
        run([*pip, *checkout], doing="installing the checkout")


def install_also(lock: str) -> None:
    """Add another lock's packages, uncompiled: few of their modules are used at a time."""
    say(f"installing {lock}")
    uv: list[str | Path] = [VENV / "bin" / "uv", "pip", "install", "--quiet", "--python", PYTHON]
    pip: list[str | Path] = [PYTHON, "-m", "pip", "install", *PIP_QUIET, "--no-compile"]
    installer = uv if (VENV / "bin" / "uv").exists() else pip
    run([*installer, "--require-hashes", "-r", lock], doing=f"installing {lock}")


def stamp_also(lock: str) -> Path:
    """Return the file that says what of a lock was added to the virtualenv."""
    return VENV / f"also-{lock.replace('/', '-')}"


def kept(what: str, *locks: str) -> Path:
    """Return where checkouts share what follows from these locks under this Python on this kind of machine."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256(f"{sys.version} {platform.machine()}".encode())
    for lock in locks:
        digest.update((ROOT / lock).read_bytes())
    return caches / "celery-workers" / what / digest.hexdigest()[:16]


def kept_uv() -> Path:
    """Return where uv is kept: with it a virtualenv needs no pip to begin with."""
    return kept("uv", INSTALLERS)


def kept_bytecode() -> Path:
    """Return the folder for the bytecode of the locks: each checkout's virtualenv needs the same."""
    return kept("bytecode", "requirements.lock", INSTALLERS)


def link_bytecode(source: Path, target: Path, *, of: Path) -> bool:
    """Link the bytecode that fits the code `of` to the same places under the target; tell whether all of it does."""
    current = True
    for file in source.rglob(f"*.{sys.implementation.cache_tag}.pyc"):  # what pytest rewrote has other names
        name = file.relative_to(source)
        code = of / source_from_cache(str(name))
        try:
            if not code.exists() or stamp_in(file) != stamp_of(code):
                current = False
            else:
                link(file, target / name)
        except FileNotFoundError:  # another checkout replaces what is kept
            current = False
    return current


def link(file: Path, place: Path) -> None:
    """Link a file to a place, or copy it where that cannot be linked to."""
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        place.hardlink_to(file)
    except FileExistsError:
        return
    except OSError:
        shutil.copy2(file, place)


def stamp_in(bytecode: Path) -> bytes:
    """Return what bytecode says of its source."""
    with bytecode.open("rb") as file:
        return file.read(16)[8:]


def stamp_of(code: Path) -> bytes:
    """Return what bytecode of a source says of it: time and size (PEP 552)."""
    found = code.stat()
    return struct.pack("<II", int(found.st_mtime) & 0xFFFFFFFF, found.st_size & 0xFFFFFFFF)


def compile_bytecode() -> None:
    """Compile what is installed, unless an earlier virtualenv of this lock left its bytecode."""
    where = [PYTHON, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = Path(subprocess.check_output(where, text=True).strip())
    shared = kept_bytecode()
    if shared.exists() and link_bytecode(shared, packages, of=packages):
        return
    command: list[str | Path] = [PYTHON, "-m", "compileall", "-q", "-j", "0", packages]
    # Some packages carry files that are no Python (templates): compileall says so and ends with 1.
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=INSTALL_TIMEOUT_SECONDS)
    shared.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=shared.parent) as made:
        link_bytecode(packages, Path(made) / "new", of=packages)
        shutil.rmtree(shared, ignore_errors=True)
        with contextlib.suppress(OSError):  # another checkout was faster
            (Path(made) / "new").rename(shared)


def set_up(also: Sequence[str]) -> None:
    """Make what is missing; what is there and unchanged stays."""
    stamp, wanted = VENV / "made-from", fingerprint()
    if not (stamp.exists() and stamp.read_text() == wanted and made_here()):
        stamp.unlink(missing_ok=True)
        say("creating .venv")
        create_venv()
        say("installing the locked packages")
        install()
        stamp.write_text(wanted)
    for lock in also:
        added = hashlib.sha256(wanted.encode() + (ROOT / lock).read_bytes()).hexdigest()
        if not stamp_also(lock).exists() or stamp_also(lock).read_text() != added:
            install_also(lock)
            stamp_also(lock).write_text(added)


def main(also: Sequence[str] = ()) -> int:
    if sys.version_info < MINIMUM:
        print(
            f"error: Python 3.11 or newer is needed, this is {sys.version.split()[0]}; set PYTHON=...", file=sys.stderr
        )
        return 2
    unknown = [lock for lock in also if not (ROOT / lock).is_file()]
    if unknown:
        print(f"error: {', '.join(unknown)}: no such lock in {ROOT}", file=sys.stderr)
        return 2
    with (ROOT / "scripts" / "bootstrap.py").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            set_up(also)
        except SetupError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("interrupted: the next call goes on from here", file=sys.stderr)
            return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

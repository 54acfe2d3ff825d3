"""Compiling modules of plain functions on arrays, and keeping the result between processes.

A module is loaded a second time, with each of its functions compiled by numba and each module of the set it uses
replaced by its compiled twin: one source, and the module itself stays the reference that its twin is tested against.
numba is imported only when something is compiled.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

# No function makes an array, so none need count references to arrays, which every call would pay for; and a division by
# zero gives an infinity instead of an error that each division would have to be ready for.
_OPTIONS = {"_nrt": False, "error_model": "numpy", "no_cfunc_wrapper": True}


@functools.cache
def compiled(names: tuple[str, ...], *, entries: tuple[str, ...], inline: bool = False) -> Mapping[str, ModuleType]:
    """Return module name -> compiled twin for a set of modules, each named after those of the set it uses.

    Only the functions named by `entries` can be called from Python. The first call of one compiles it, which takes
    seconds, unless an earlier process has left the result in the cache. `inline` puts each function into its callers:
    for small ones that take many arrays, each of which is handed over as seven numbers.
    """
    import numba  # half a second, and only here

    modules = [importlib.import_module(name) for name in names]
    sources = "\n".join(inspect.getsource(module) for module in modules)
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(cache_directory(f"{sources}\n{inline}"))
    try:
        twins: dict[str, ModuleType] = {}
        for module in modules:
            twins[module.__name__] = _twin(module, twins, functools.partial(_compile, numba.njit, entries, inline))
        return twins
    finally:
        numba.config.CACHE_DIR = before


def cache_directory(sources: str) -> Path:
    """Return where compiled code of these sources is kept: in $NUMBA_CACHE_DIR, else in the user's cache.

    The sources are part of the name: numba itself notices a change of a function's own file only.
    """
    given = os.environ.get("NUMBA_CACHE_DIR")
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    base = Path(given) if given else user / "celery-workers" / "numba"
    return base / hashlib.sha256(sources.encode()).hexdigest()[:16]


def _compile(njit: Any, entries: Collection[str], inline: bool, function: FunctionType) -> Any:
    entry = function.__name__ in entries
    return njit(cache=entry, no_cpython_wrapper=not entry, forceinline=inline, **_OPTIONS)(function)


def _twin(module: ModuleType, twins: Mapping[str, ModuleType], compile_: Callable[[FunctionType], Any]) -> ModuleType:
    """Load a module anew under another name and compile what it defines."""
    name = f"{module.__name__}__compiled"
    spec = importlib.util.spec_from_file_location(name, module.__file__)
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

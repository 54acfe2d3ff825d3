"""The part of docs/reference/code.md that follows from the code: packages by layer, each with its docstring's words."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

MARKER = "<!-- below: written by `make golden` from pyproject.toml's layers and the packages' docstrings -->\n"
HEADINGS = {
    "harness": "Top layer first: a package imports from those below it, never from above. `lint-imports` holds it.",
    "celery_workers": "What a user's application imports. It knows nothing of the rest.",
    "examx": "The reference application. It knows nothing of the harness.",
}


def insert(document: str, root: Path) -> str:
    """Return the document with everything below MARKER written anew from the checkout at `root`."""
    return document.partition(MARKER)[0] + MARKER + "\n" + "\n".join(_sections(root))


def layers(root: Path) -> list[list[str]]:
    """Return the harness' layers, top first, as pyproject.toml's contract has them: modules, dotted."""
    settings = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]
    (contract,) = [one for one in settings["contracts"] if one["type"] == "layers"]
    return [layer.split(" | ") for layer in contract["layers"]]


def packages(root: Path, name: str) -> list[str]:
    """Return the packages and modules right under a package, dotted, in order."""
    found = {path.stem if path.suffix == ".py" else path.name for path in (root / name).iterdir() if _is_code(path)}
    return sorted(f"{name}.{each}" for each in found)


def meaning(root: Path, module: str) -> str:
    """Return the first sentence of a module's docstring. Raises ValueError where it has none."""
    path = root / module.replace(".", "/")
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = ast.get_docstring(ast.parse(source.read_text()))
    if not text:
        raise ValueError(f"{source.relative_to(root)}: no docstring")
    first = " ".join(text.partition("\n\n")[0].split())
    return first.replace("|", "\\|")


def _is_code(path: Path) -> bool:
    return (path / "__init__.py").exists() if path.is_dir() else path.suffix == ".py" and not path.stem.startswith("__")


def _sections(root: Path) -> Iterator[str]:
    for name, heading in HEADINGS.items():
        rows = list(_harness(root)) if name == "harness" else [("", module) for module in packages(root, name)]
        yield f"## {name}\n\n{heading}\n"
        if name == "harness":
            lines = ["| layer | package | what it is |", "|---|---|---|"]
            lines += [f"| {layer} | `{module}` | {meaning(root, module)} |" for layer, module in rows]
        else:
            lines = ["| module | what it is |", "|---|---|"]
            lines += [f"| `{module}` | {meaning(root, module)} |" for _, module in rows]
        yield "\n".join(lines) + "\n"


def _harness(root: Path) -> Iterator[tuple[str, str]]:
    """Each layer's number and module, with the packages inside it."""
    for number, layer in enumerate(layers(root), start=1):
        for module in layer:
            yield str(number), module
            inner = (root / module.replace(".", "/")).glob("**/*/__init__.py")
            for each in sorted(path.parent.relative_to(root) for path in inner):
                yield str(number), ".".join(each.parts)

"""YAML as helm reads it, except that what helm passes over in silence is an error here.

Refused: a key given twice, a key that is not text, several documents in one values file, tags of other languages,
and input made to exhaust memory. Scalars get helm's meaning (YAML 1.1 without dates and base-60 numbers).
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from harness.errors import InputError

MAX_VALUES_BYTES = 1 << 20  # a values file of a release ends up in a Secret of at most 1 MiB
MAX_TEXT_BYTES = 1 << 25
MAX_DEPTH = 64
MAX_EXPANDED_NODES = 500_000  # after aliases: an alias bomb has millions

KeyPath = tuple[str | int, ...]

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"})
_FALSE = frozenset({"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"})
_INT = re.compile(r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_NEVER_FOLD = 1 << 20
_MAX_DIGITS = 64
_EXACT = 2**53  # helm holds every number as a float64
_TAG = "tag:yaml.org,2002:"
_PLAIN = "plain"  # what the loader below calls an unquoted scalar without a tag
_TYPES: Mapping[str, tuple[type, ...]] = {
    f"{_TAG}int": (int,),
    f"{_TAG}float": (int, float),
    f"{_TAG}bool": (bool,),
    f"{_TAG}null": (type(None),),
}


class _Loader(yaml.CSafeLoader):
    """Only parses and composes; what a plain scalar means is left to `_plain_value`, which follows helm."""

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        """Return the tag of an untagged node; `implicit` says whether a scalar is plain (or quoted)."""
        if kind is yaml.ScalarNode:
            return _PLAIN if implicit[0] else f"{_TAG}str"
        return f"{_TAG}map" if kind is yaml.MappingNode else f"{_TAG}seq"


class _Dumper(yaml.CSafeDumper):
    """Quotes what helm would take for another type, writes long text as a block, never uses aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.CSafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else "'" if not _is_plain_text(text) else None
    return dumper.represent_scalar(f"{_TAG}str", text, style=style)


_Dumper.add_representer(str, _represent_text)


@dataclass(frozen=True)
class Document:
    """One YAML mapping and the line (from 1) on which each key path begins."""

    name: str
    data: dict[str, Any]
    lines: Mapping[KeyPath, int] = field(repr=False)


def load_file(path: Path) -> dict[str, Any]:
    """Return the mapping in a values file, empty for an empty file. Raises InputError naming file and line."""
    return load_document(path).data


def load_document(path: Path) -> Document:
    """Return a values file's mapping together with the lines its keys stand on. Raises InputError."""
    return parse(read_text(path, limit_bytes=MAX_VALUES_BYTES), shown(path))


def load_text(text: str, name: str) -> dict[str, Any]:
    """Return the one mapping in `text`; `name` stands for the file in messages. Raises InputError."""
    return parse(text, name).data


def load_all_text(text: str, name: str) -> list[dict[str, Any]]:
    """Return every mapping of a stream of documents, empty documents left out. Raises InputError."""
    return [document.data for document in _documents(text, name) if document is not None]


def load_scalar(text: str, name: str) -> Any:
    """Return any one YAML value, as `--set key=VALUE` gives it. Raises InputError."""
    nodes = [node for node in _compose(text, name) if node is not None]
    if len(nodes) > 1:
        raise InputError(f"{name}: more than one YAML document; give one value")
    return _Reader(name).value(nodes[0], ()) if nodes else None


def dump_all(documents: Iterable[Mapping[str, Any]]) -> str:
    """Return documents as one YAML stream that helm, kubectl and `load_all_text` read back as they were."""
    return yaml.dump_all(
        documents, Dumper=_Dumper, sort_keys=False, explicit_start=True, allow_unicode=True, width=_NEVER_FOLD
    )


def shown(path: Path) -> str:
    """Return a file's name for messages: as short as it can be from the working directory."""
    with contextlib.suppress(OSError, ValueError):
        return str(path.resolve().relative_to(Path.cwd()))
    return str(path)


def parse(text: str, name: str) -> Document:
    """Return the one document in `text`. Raises InputError."""
    documents = list(_documents(text, name))
    if len(documents) > 1:
        raise InputError(
            f"{name}: {len(documents)} YAML documents; helm reads one and drops the others: remove the `---` lines"
        )
    found = documents[0] if documents else None
    return found or Document(name, {}, {})


def read_text(path: Path, *, limit_bytes: int = MAX_TEXT_BYTES) -> str:
    """Return a file's text. Raises InputError when it is missing, too large, or not UTF-8."""
    try:
        if path.is_dir():
            raise InputError(f"{shown(path)}: is a directory, a YAML file is wanted")
        with path.open("rb") as file:
            raw = file.read(limit_bytes + 1)
    except FileNotFoundError:
        raise InputError(f"{shown(path)}: no such file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{shown(path)}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(raw) > limit_bytes:
        raise InputError(f"{shown(path)}: larger than {limit_bytes:,} bytes; that is no values file")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InputError(
            f"{shown(path)}:{line}: not UTF-8 text (byte {raw[error.start]:#04x}); save the file as UTF-8"
        ) from None


def _documents(text: str, name: str) -> Iterator[Document | None]:
    for node in _compose(text, name):
        if node is None or (node.tag == _PLAIN and node.value in _NULL):
            yield None
            continue
        if not isinstance(node, yaml.MappingNode):
            what = "a list" if isinstance(node, yaml.SequenceNode) else "a single value"
            raise InputError(f"{name}:{_line(node)}: {what} at the top; a mapping (`key: value`) is wanted")
        reader = _Reader(name)
        yield Document(name, reader.mapping(node, ()), reader.lines)


def _compose(text: str, name: str) -> list[yaml.Node | None]:
    """Return the root node of each document after the cheap checks that make the rest safe."""
    if len(text) > MAX_TEXT_BYTES:
        raise InputError(f"{name}: larger than {MAX_TEXT_BYTES:,} characters")
    try:
        aliases = _check_depth(text, name)
        nodes: list[yaml.Node | None] = list(yaml.compose_all(text, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        raise InputError(_syntax_message(error, text, name)) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise InputError(f"{name}:{line}: the character {error.character!r} is not allowed in YAML") from None
    except yaml.YAMLError as error:
        raise InputError(f"{name}: not YAML: {error}") from None
    for node in nodes if aliases else ():
        _check_size(node, name)
    return nodes


def _check_depth(text: str, name: str) -> bool:
    """Refuse text that is nested too deep; return whether it has aliases, without which it stays as long as it is."""
    # The composer recurses (in C, where too deep is a crash); the event stream does not.
    depth, aliases = 0, False
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                line = event.start_mark.line + 1 if event.start_mark else 1
                raise InputError(f"{name}:{line}: nested deeper than {MAX_DEPTH} levels; flatten the values")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent):
            aliases = True
    return aliases


def _check_size(root: yaml.Node | None, name: str) -> None:
    """Refuse a document that contains itself, or that grows huge or deep when its aliases are written out."""
    measured: dict[int, tuple[int, int]] = {}
    unfinished: set[int] = set()

    def measure(node: yaml.Node) -> tuple[int, int]:
        """Return how many values a node stands for and how deep they go; an anchor is measured once."""
        key = id(node)
        if key in unfinished:
            raise InputError(f"{name}:{_line(node)}: an alias refers to the value it stands in; write the value out")
        if key not in measured:
            unfinished.add(key)
            children = [measure(child) for child in _children(node)]
            unfinished.discard(key)
            count = 1 + sum(child[0] for child in children)
            depth = 1 + max((child[1] for child in children), default=0)
            if count > MAX_EXPANDED_NODES or depth > MAX_DEPTH + 1:
                raise InputError(f"{name}:{_line(node)}: too large once aliases are written out; use fewer aliases")
            measured[key] = (count, depth)
        return measured[key]

    if root is not None:
        measure(root)


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [child for pair in node.value for child in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


class _Reader:
    """Turns nodes into plain values and remembers where each key stands."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: dict[KeyPath, int] = {}

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            self._check_tag(node, "seq", path)
            return [self._item(child, (*path, index)) for index, child in enumerate(node.value)]
        return self._scalar(node, path)

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        self._check_tag(node, "map", path)
        result: dict[str, Any] = {}
        first_lines: dict[str, int] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if _is_merge(key_node):
                merged = {**self._merged(value_node, path), **merged}
                continue
            key = self._key(key_node, path)
            here = (*path, key)
            if key in first_lines:
                raise InputError(
                    f"{self.name}:{_line(key_node)}: key '{show_path(here)}' is given twice, first on line "
                    f"{first_lines[key]}; only the last would count: remove or merge one of them"
                )
            first_lines[key] = self.lines[here] = _line(key_node)
            result[key] = self.value(value_node, here)
        return {**merged, **result}

    def _item(self, node: yaml.Node, path: KeyPath) -> Any:
        self.lines[path] = _line(node)
        return self.value(node, path)

    def _merged(self, node: yaml.Node, path: KeyPath) -> dict[str, Any]:
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        result: dict[str, Any] = {}
        for source in sources:  # the first of several wins
            if not isinstance(source, yaml.MappingNode):
                raise InputError(f"{self.name}:{_line(source)}: `<<` needs a mapping to take keys from")
            result = {**self.mapping(source, path), **result}
        return result

    def _key(self, node: yaml.Node, path: KeyPath) -> str:
        if not isinstance(node, yaml.ScalarNode):
            inside = f" under '{show_path(path)}'" if path else ""
            raise InputError(f"{self.name}:{_line(node)}: a key{inside} is a list or mapping; it must be text")
        value = self._scalar(node, path)
        if not isinstance(value, str):
            kind = "null" if value is None else f"the {type(value).__name__} {str(value).lower()}"
            raise InputError(f"{self.name}:{_line(node)}: key {node.value!r} is read as {kind}: put it in quotes")
        return value

    def _scalar(self, node: yaml.Node, path: KeyPath) -> Any:
        text: str = node.value
        if node.tag == f"{_TAG}str":
            return text
        try:
            value = _plain_value(text)
        except ValueError as error:
            raise InputError(f"{self.name}:{_line(node)}: {_at(path)}{error}") from None
        if node.tag != _PLAIN:
            if node.tag not in _TYPES:
                self._refuse_tag(node, path)
            if type(value) not in _TYPES[node.tag]:
                raise InputError(f"{self.name}:{_line(node)}: {_at(path)}{text!r} is not what its tag says")
        return value

    def _check_tag(self, node: yaml.Node, wanted: str, path: KeyPath) -> None:
        if node.tag != _TAG + wanted:
            self._refuse_tag(node, path)

    def _refuse_tag(self, node: yaml.Node, path: KeyPath) -> NoReturn:
        tag = f"!!{node.tag.removeprefix(_TAG)}" if node.tag.startswith(_TAG) else node.tag
        raise InputError(f"{self.name}:{_line(node)}: {_at(path)}the tag {tag} is not allowed; write plain YAML")


def _plain_value(text: str) -> Any:
    """Return what helm takes an unquoted scalar for. Raises ValueError for numbers helm cannot hold."""
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INFINITE.fullmatch(text):
        raise ValueError(f"{text} has no meaning in values; give a finite number")
    if not (_INT.fullmatch(text) or _FLOAT.fullmatch(text)):
        return text
    number = _integer(text) if _INT.fullmatch(text) else float(text.replace("_", ""))
    if math.isinf(number) or (isinstance(number, int) and abs(number) > _EXACT):
        raise ValueError(f"helm would round {text[:40]}; put it in quotes or give a smaller number")
    return number


def _is_plain_text(text: str) -> bool:
    try:
        return _plain_value(text) == text
    except ValueError:
        return False


def _integer(text: str) -> int:
    digits = text.replace("_", "")
    sign, digits = (-1, digits[1:]) if digits[0] == "-" else (1, digits.removeprefix("+"))
    if len(digits) > _MAX_DIGITS:  # Python refuses to convert very long numbers, slowly
        return _EXACT + 1
    if re.fullmatch(r"0[0-7]+", digits):
        return sign * int(digits, 8)
    return sign * (int(digits, 0) if re.match(r"0[box]", digits) else int(digits))


def _at(path: KeyPath) -> str:
    return f"{show_path(path)}: " if path else ""


def show_path(path: KeyPath) -> str:
    """Return a key path as a person writes it.

    >>> show_path(("routes", 0, "queue")), show_path(("podAnnotations", "example.com/a"))
    ('routes[0].queue', 'podAnnotations["example.com/a"]')
    """
    shown = ""
    for part in path:
        if isinstance(part, int):
            shown += f"[{part}]"
        elif re.fullmatch(r"[A-Za-z0-9_-]+", part):
            shown += f".{part}" if shown else part
        else:
            shown += f'["{part}"]'
    return shown


def _syntax_message(error: yaml.MarkedYAMLError, text: str, name: str) -> str:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    rows = text.splitlines()
    row = rows[line - 1] if line <= len(rows) else ""
    if re.match(r"\s*\t", row):
        return f"{name}:{line}: a tab in the indentation; YAML allows spaces only"
    problem = (error.problem or error.context or "not YAML").replace("\t", "\\t")
    return f"{name}:{line}: not YAML: {problem}; correct the line: {row.strip()[:80]!r}"


def _is_merge(node: yaml.Node) -> bool:
    return node.tag == _PLAIN and node.value == "<<"


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1

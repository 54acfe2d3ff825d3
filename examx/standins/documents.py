"""The documents in storage: real files, made from their dimensions, the same bytes every time."""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from examx import documents

_EPOCH = datetime(2025, 1, 1)
_ZIP_EPOCH = (2025, 1, 1, 0, 0, 0)
_TOPICS = ("algebra", "geometry", "mechanics", "optics", "grammar", "history")
CACHED = 64


class SizeError(ValueError):
    """A size that is not known or out of bounds; the message names it."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of document: how it is made, its sizes with default and upper bound."""

    make: Callable[..., bytes]
    content_type: str
    sizes: dict[str, tuple[int, int]]


def question_text(number: int) -> str:
    """Question `number`, made up."""
    draw = random.Random(number)
    return f"What is the {draw.choice(('sum', 'product', 'ratio', 'mean'))} of {draw.randint(2, 99)} and {number + 1}?"


def spreadsheet(*, rows: int) -> bytes:
    """An .xlsx of questions; every tenth row is unusable in one way or another, as uploads are."""
    from openpyxl import Workbook  # type: ignore[import-untyped]
    from openpyxl.writer.excel import ExcelWriter  # type: ignore[import-untyped]

    book = Workbook(write_only=True)
    book.properties.created = book.properties.modified = _EPOCH
    sheet = book.create_sheet("questions")
    sheet.append(list(documents.QUESTION_COLUMNS))
    for number in range(rows):
        broken = number % 10 == 9
        text = question_text(number - 1 if broken and number % 20 == 9 else number)
        marks = "many" if broken and number % 20 == 19 else 1 + number % 5
        sheet.append([f"  {text} ", _TOPICS[number % len(_TOPICS)], str(number), marks])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:  # book.save would write down the present second
        ExcelWriter(book, archive).save()
    return _without_dates(buffer.getvalue())


def paper(*, pages: int) -> bytes:
    """A PDF of numbered questions."""
    found = [documents.Question(text=question_text(number)) for number in range(pages * 25)]
    return documents.question_paper_pdf(found, title="Examination paper", pages=pages)


def text(*, questions: int) -> bytes:
    """Plain text: a heading and numbered questions."""
    lines = [f"{number + 1}. {question_text(number)}" for number in range(questions)]
    return "\n".join(["Examination", "", *lines, ""]).encode()


def scores(*, students: int, questions: int) -> bytes:
    """A .npy array of scores; abler students score higher on every question."""
    import numpy as np

    draw = np.random.default_rng(students * 1_000_003 + questions)
    ability = draw.normal(0.0, 1.0, (students, 1))
    difficulty = draw.normal(0.0, 1.0, (1, questions))
    array = (draw.random((students, questions)) < 1 / (1 + np.exp(difficulty - ability))).astype(np.float32)
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def order(*, items: int) -> bytes:
    """The lines of an order as JSON."""
    lines = [
        {"name": f"Paper set {number + 1}", "quantity": 1 + number % 7, "price_cents": 199 + 37 * number % 5000}
        for number in range(items)
    ]
    return json.dumps(lines).encode()


KINDS: dict[str, Kind] = {
    "xlsx": Kind(
        make=spreadsheet,
        content_type="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        sizes={"rows": (50, 20_000)},
    ),
    "pdf": Kind(make=paper, content_type="application/pdf", sizes={"pages": (2, 500)}),
    "text": Kind(make=text, content_type="text/plain", sizes={"questions": (20, 20_000)}),
    "scores": Kind(
        make=scores, content_type="application/octet-stream", sizes={"students": (500, 50_000), "questions": (40, 200)}
    ),
    "order": Kind(make=order, content_type="application/json", sizes={"items": (20, 5_000)}),
}


@lru_cache(maxsize=CACHED)
def make(kind: str, sizes: tuple[int, ...]) -> bytes:
    """The document of a kind in the order of its sizes; kept, so it costs its making once."""
    known = KINDS[kind]
    return known.make(**dict(zip(known.sizes, sizes, strict=True)))


def sizes_of(kind: str, query: dict[str, str]) -> tuple[int, ...]:
    """The sizes that a query asks for, defaults for the rest. SizeError for unknown names or sizes out of bounds."""
    known = KINDS[kind].sizes
    for name in query:
        if name not in known:
            raise SizeError(f"/storage/{kind}: unknown size {name!r}; known: {', '.join(known)}")
    return tuple(_bounded(kind, name, query.get(name), *bounds) for name, bounds in known.items())


def make_defaults() -> None:
    """Make every kind in its default size, so that the first requests are not slowed down."""
    for kind in KINDS:
        make(kind, sizes_of(kind, {}))


def _bounded(kind: str, name: str, value: str | None, default: int, most: int) -> int:
    if value is None:
        return default
    if not value.isascii() or not value.isdigit() or not 1 <= int(value) <= most:
        raise SizeError(f"/storage/{kind}: {name} is {value!r}; expected 1 to {most}")
    return int(value)


def _without_dates(archive: bytes) -> bytes:
    """The same ZIP with fixed dates on its members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as source, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(zipfile.ZipInfo(name, _ZIP_EPOCH), source.read(name), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()

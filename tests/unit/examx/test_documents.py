"""Documents read and written: real files through the real libraries."""

from __future__ import annotations

import base64
import io
import json
import time

import pytest
from PIL import Image
from pypdf import PdfReader

from examx import documents
from examx.documents import Question
from examx.standins import documents as storage


def sheet(rows: list[list[object]], columns: tuple[str, ...] = documents.QUESTION_COLUMNS) -> bytes:
    from openpyxl import Workbook

    book = Workbook()
    book.active.append(list(columns))
    for row in rows:
        book.active.append(row)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def test_spreadsheet_rows_are_cleaned():
    content = sheet(
        [
            ["  What is\n 1 + 1? ", "algebra", "2", 3],
            ["No marks?", "algebra", "2", "many"],
            ["Too many marks?", "algebra", "2", 101],
            [None, "algebra", "2", 1],
            ["No answer?", "algebra", None, 1],
            ["What is 1 + 1?", "geometry", "again", 1],
            ["No topic?", None, 7, 1],
        ]
    )
    assert documents.questions_from_spreadsheet(content) == [
        Question(text="What is 1 + 1?", topic="algebra", answer="2", marks=3),
        Question(text="No topic?", topic="", answer="7", marks=1),
    ]


def test_spreadsheet_without_rows_is_empty():
    assert documents.questions_from_spreadsheet(sheet([])) == []


def test_spreadsheet_without_a_column_is_refused_by_name():
    with pytest.raises(ValueError, match="no column marks"):
        documents.questions_from_spreadsheet(sheet([], ("question", "topic", "answer")))


def test_stored_spreadsheet_has_unusable_rows_that_are_dropped():
    found = documents.questions_from_spreadsheet(storage.spreadsheet(rows=40))
    assert len(found) == 36  # each tenth row repeats a question or has no number for its marks
    assert found[0] == Question(text=storage.question_text(0), topic="algebra", answer="0", marks=1)


def test_paper_is_written_and_read_back():
    content = documents.question_paper_pdf([Question(text="What is 1 + 1?")], title="Paper", pages=3)
    assert len(PdfReader(io.BytesIO(content)).pages) == 3
    found = documents.questions_from_text(documents.text_of_pdf(content))
    assert found == [Question(text="What is 1 + 1?")] * 75


@pytest.mark.parametrize("items", [1, 200])
def test_order_shows_every_item_and_the_total(items: int):
    lines = [{"name": f"Item {n}", "quantity": 2, "price_cents": 150} for n in range(items)]
    text = documents.text_of_pdf(documents.order_pdf(lines, order=7))
    assert "Order 7" in text
    assert all(f"Item {n}" in text for n in range(items))
    assert f"{items * 3:.2f}" in text


def test_stamp_is_on_every_page_and_the_text_stays():
    content = documents.question_paper_pdf([Question(text="What is 1 + 1?")], title="Paper", pages=2)
    pages = PdfReader(io.BytesIO(documents.stamped_pdf(content, stamp="PAID"))).pages
    assert ["PAID" in page.extract_text() and "1 + 1" in page.extract_text() for page in pages] == [True, True]


def test_written_documents_are_the_same_every_time():
    paper = storage.paper(pages=1)

    def made() -> list[bytes]:
        return [
            storage.spreadsheet(rows=30),
            storage.paper(pages=2),
            storage.scores(students=20, questions=5),
            documents.stamped_pdf(paper, stamp="PAID"),
            documents.order_pdf(json.loads(storage.order(items=5)), order=1),
        ]

    before = made()
    time.sleep(1.1)  # their formats can hold the second in which they were made
    assert made() == before


def test_terms_are_the_most_frequent_words():
    assert documents.terms("The sum and the product of the sum: 12, ab", at_most=3) == ["the", "sum", "and"]


def test_page_image_is_a_png_of_half_the_size():
    image = Image.open(io.BytesIO(base64.b64decode(documents.page_image_base64(1, pixels=64))))
    assert (image.format, image.size) == ("PNG", (32, 32))


def test_sizes_have_defaults_and_bounds():
    assert storage.sizes_of("scores", {}) == (500, 40)
    assert storage.sizes_of("scores", {"questions": "3"}) == (500, 3)
    for query in ({"rows": "0"}, {"rows": "20001"}, {"rows": "-1"}, {"rows": "x"}, {"pages": "1"}):
        with pytest.raises(storage.SizeError):
            storage.sizes_of("xlsx", query)

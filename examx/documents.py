"""Reading and writing documents. Pure: bytes in, data or bytes out. The heavy libraries are imported on first use.

Written PDFs are invariant (no dates, no random ids): the same input gives the same bytes, so a task that runs twice
leaves the same file.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

QUESTION_COLUMNS = ("question", "topic", "answer", "marks")
MIN_MARKS, MAX_MARKS = 1, 100
_NUMBERED = re.compile(r"^\s*(\d+)[.)]\s+(.*\S)", re.MULTILINE)
_WORD = re.compile(r"[a-z]{3,}")


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question of an examination."""

    text: str
    topic: str = ""
    answer: str = ""
    marks: int = 1


def questions_from_spreadsheet(content: bytes) -> list[Question]:
    """The valid, distinct questions of an .xlsx file with the columns QUESTION_COLUMNS, in its order.

    Dropped: rows without question or answer, marks outside 1 to 100, repeated questions. Raises ValueError where a
    column is missing.
    """
    import pandas as pd

    frame = pd.read_excel(io.BytesIO(content), engine="openpyxl")
    missing = [name for name in QUESTION_COLUMNS if name not in frame.columns]
    if missing:
        raise ValueError(f"the spreadsheet has no column {', '.join(missing)}; expected {', '.join(QUESTION_COLUMNS)}")
    frame = frame.loc[:, list(QUESTION_COLUMNS)].dropna(subset=["question", "answer"])
    for name in ("question", "topic", "answer"):
        frame[name] = frame[name].fillna("").astype(str).str.strip().str.replace(r"\s+", " ", regex=True)
    frame["marks"] = pd.to_numeric(frame["marks"], errors="coerce")
    frame = frame[frame["marks"].between(MIN_MARKS, MAX_MARKS) & (frame["question"] != "")]
    frame = frame.drop_duplicates("question")
    return [
        Question(text=row.question, topic=row.topic, answer=row.answer, marks=int(row.marks))
        for row in frame.itertuples(index=False)
    ]


def questions_from_text(text: str) -> list[Question]:
    """The numbered lines of a text ("12. What is ...") as questions."""
    return [Question(text=match.group(2)) for match in _NUMBERED.finditer(text)]


def text_of_pdf(content: bytes) -> str:
    """The text of a PDF, page after page."""
    from pypdf import PdfReader

    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(content)).pages)


def terms(text: str, *, at_most: int) -> list[str]:
    """The most frequent words of a text (three letters or more), ties in order of appearance."""
    return [word for word, _ in Counter(_WORD.findall(text.lower())).most_common(at_most)]


def question_paper_pdf(questions: Sequence[Question], *, title: str, pages: int) -> bytes:
    """A question paper of exactly `pages` pages; the questions repeat or are cut to fill them."""
    from reportlab.lib.pagesizes import A4
    from reportlab.pdfgen.canvas import Canvas

    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=A4, invariant=1)
    canvas.setTitle(title)
    number = 0
    for page in range(1, pages + 1):
        canvas.setFont("Helvetica-Bold", 14)
        canvas.drawString(60, 790, f"{title} - page {page} of {pages}")
        canvas.setFont("Helvetica", 10)
        for line in range(25):
            number += 1
            question = questions[(number - 1) % len(questions)]
            canvas.drawString(60, 760 - line * 28, f"{number}. {question.text[:90]}")
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def order_pdf(items: Sequence[Mapping[str, Any]], *, order: int) -> bytes:
    """The copy of an order: a table over as many pages as it needs, and the total."""
    from reportlab.lib import colors
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

    total = sum(item["quantity"] * item["price_cents"] for item in items)
    rows = [["Item", "Quantity", "Price"]]
    rows += [[item["name"], str(item["quantity"]), f"{item['price_cents'] / 100:.2f}"] for item in items]
    table = Table([*rows, ["Total", "", f"{total / 100:.2f}"]], colWidths=[300, 80, 80], repeatRows=1)
    table.setStyle(
        TableStyle([("GRID", (0, 0), (-1, -1), 0.5, colors.grey), ("BACKGROUND", (0, 0), (-1, 0), colors.lightgrey)])
    )
    buffer = io.BytesIO()
    heading = Paragraph(f"Order {order}", getSampleStyleSheet()["Heading1"])
    SimpleDocTemplate(buffer, pagesize=A4, invariant=1).build([heading, Spacer(1, 12), table])
    return buffer.getvalue()


def stamped_pdf(content: bytes, *, stamp: str) -> bytes:
    """The PDF with `stamp` written across the head of every page."""
    from pypdf import PdfReader, PdfWriter
    from reportlab.pdfgen.canvas import Canvas

    overlay = io.BytesIO()
    canvas = Canvas(overlay, invariant=1)
    canvas.setFont("Helvetica-Bold", 16)
    canvas.drawString(400, 810, stamp)
    canvas.save()
    mark = PdfReader(overlay).pages[0]
    writer = PdfWriter()
    for page in PdfReader(io.BytesIO(content)).pages:
        writer.add_page(page).merge_page(mark)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def page_image_base64(seed: int, *, pixels: int) -> str:
    """A scanned page (made up from `seed`), made smaller and encoded as an AI service takes it."""
    import base64
    import random

    from PIL import Image

    scan = Image.frombytes("L", (pixels, pixels), random.Random(seed).randbytes(pixels * pixels))
    small = scan.resize((max(1, pixels // 2),) * 2)
    buffer = io.BytesIO()
    small.save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()

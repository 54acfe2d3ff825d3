"""A real target to scrape: what it exposes is a text that a test may change while it runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

from tests.local.monitoring.serving import Quiet, serving

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Exposition:
    """What is exposed: `text` is Prometheus' text format, `asked` the paths that were scraped."""

    def __init__(self, text: str = "") -> None:
        self.text = text
        self.asked: list[str] = []
        self.url = ""


@contextlib.contextmanager
def exposed(text: str = "") -> Iterator[Exposition]:
    """Serve a text on a free loopback port for the block's time."""
    exposition = Exposition(text)

    class Handler(Quiet, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            exposition.asked.append(self.path)
            body = exposition.text.encode()
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with serving(Handler) as address:
        exposition.url = f"{address}/metrics"
        yield exposition

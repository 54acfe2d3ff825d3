"""A real target to scrape: what it exposes is a text that a test may change while it runs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

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

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            exposition.asked.append(self.path)
            body = exposition.text.encode()
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    exposition.url = f"http://127.0.0.1:{server.server_address[1]}/metrics"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield exposition
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)

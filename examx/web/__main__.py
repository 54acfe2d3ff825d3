"""`python -m examx.web`: take tasks over HTTP until told to stop (TERM or Ctrl-C).

The broker is CELERY_BROKER_URL's; rate limit and circuit breakers need CELERY_WORKERS_REDIS_URL. It authenticates
nobody and speaks no TLS: it stands behind something that does.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

# ruff: noqa: E402 - gevent wants to be first
import argparse
import json
import os
import signal
import sys
from pathlib import Path

import gevent
import gevent.event
from gevent.pool import Pool
from gevent.pywsgi import WSGIServer

from celery_workers import Publisher
from celery_workers.rate_limits import RateLimit
from examx.application import app
from examx.web.front import make_front

EXIT_BAD_INPUT = 2
REQUESTS = 1000
"""At once; those beyond wait in the socket's backlog."""
PUBLISH_SECONDS = 5.0
STOP_SECONDS = 10.0


def main(arguments: list[str] | None = None) -> int:
    """Serve; 0 after a clean stop, 2 with one message where the input is unusable."""
    options = _parser().parse_args(arguments)
    try:
        limit = RateLimit(options.rate_limit, name="web") if options.rate_limit else None
    except ValueError as error:
        print(f"examx.web: --rate-limit: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    app.loader.import_default_modules()  # the tasks, for their arguments
    publisher = Publisher(app, timeout_seconds=PUBLISH_SECONDS, connections=options.connections)
    server = WSGIServer(
        (options.host, options.port),
        make_front(publisher, rate_limit=limit),
        spawn=Pool(REQUESTS),
        log=None,  # a line a request would cost more than the request
    )
    try:
        server.start()
    except (OSError, OverflowError) as error:
        print(f"examx.web: cannot listen on {options.host} port {options.port}: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    _serve(server, options.ready_file)
    publisher.close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m examx.web", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one (default %(default)s)")
    parser.add_argument("--connections", type=int, default=20, help="to the broker (default %(default)s)")
    parser.add_argument("--rate-limit", metavar="RATE", help="of one address, as 600/m (default: none)")
    parser.add_argument("--ready-file", type=Path, help="written when the port answers: port and process id as JSON")
    return parser


def _serve(server: WSGIServer, ready_file: Path | None) -> None:
    """Serve until TERM or INT; requests under way are answered."""
    stop = gevent.event.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, stop.set)
    if ready_file is not None:
        partial = ready_file.with_name(f".{ready_file.name}.{os.getpid()}")
        partial.write_text(json.dumps({"port": server.server_port, "pid": os.getpid()}) + "\n")
        partial.replace(ready_file)
    stop.wait()
    server.stop(STOP_SECONDS)
    if ready_file is not None:
        ready_file.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())

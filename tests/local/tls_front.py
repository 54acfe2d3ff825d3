"""A CA of one test, and a port that speaks TLS with its certificate and passes everything on to a plain one."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LIMIT_SECONDS = 30


def make_certificates(directory: Path, *, names: str = "IP:127.0.0.1") -> tuple[Path, Path, Path]:
    """Make a CA and a certificate that it vouches for, for these names; return ca.crt, server.crt, server.key."""
    directory.mkdir()
    ca, ca_key, request = (directory / name for name in ("ca.crt", "ca.key", "server.csr"))
    certificate, key, extensions = (directory / name for name in ("server.crt", "server.key", "server.ext"))
    extensions.write_text(f"subjectAltName = {names}\n")
    new = ["openssl", "req", "-newkey", "rsa:2048", "-nodes"]
    subject = ["-subj", "/CN=celery-workers test CA"]
    commands: list[list[str | Path]] = [
        [*new, "-x509", "-days", "2", *subject, "-keyout", ca_key, "-out", ca],
        [*new, "-subj", "/CN=localhost", "-keyout", key, "-out", request],
        ["openssl", "x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "2",
         "-extfile", extensions, "-out", certificate],
    ]  # fmt: skip
    for command in commands:
        subprocess.run(list(map(str, command)), check=True, capture_output=True, timeout=LIMIT_SECONDS)
    return ca, certificate, key


@contextmanager
def tls_front(certificate: Path, key: Path, port: int) -> Iterator[int]:
    """Yield a port of 127.0.0.1 that is `port` of this machine behind TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        thread = threading.Thread(target=_serve, args=(server, context, port, ended), daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            ended.set()
            thread.join(5)


def _serve(server: socket.socket, context: ssl.SSLContext, port: int, ended: threading.Event) -> None:
    while not ended.is_set():
        with suppress(TimeoutError):
            client, _ = server.accept()
            client.settimeout(None)
            threading.Thread(target=_connect, args=(client, context, port), daemon=True).start()


def _connect(client: socket.socket, context: ssl.SSLContext, port: int) -> None:
    with (
        suppress(OSError),
        context.wrap_socket(client, server_side=True) as outer,
        socket.create_connection(("127.0.0.1", port)) as inner,
    ):
        threading.Thread(target=_copy, args=(inner, outer), daemon=True).start()
        _copy(outer, inner)


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Pass on until one end is closed, then close the other."""
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)

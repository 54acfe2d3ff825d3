"""A TCP proxy whose connections can go silent, as a broker's do that hangs or whose machine is gone."""

from __future__ import annotations

import selectors
import socket
import threading
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class SilentProxy:
    """Forwards connections to one address until told to go silent; connections made later work."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname, parts.port)
        self._server = socket.create_server(("127.0.0.1", 0))
        port = self._server.getsockname()[1]
        credentials = parts.netloc.rpartition("@")[0]
        self.url = parts._replace(netloc=f"{credentials}@127.0.0.1:{port}").geturl()
        self._peers: dict[socket.socket, socket.socket] = {}
        self._silent: set[socket.socket] = set()
        self._answered_at_most: int | None = None
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._server, selectors.EVENT_READ)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._forward_all, daemon=True)

    @classmethod
    def to(cls, url: str) -> Self:
        return cls(url)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(5)
        for one in (self._server, *self._peers):
            one.close()
        self._selector.close()

    def go_silent(self) -> None:
        """From now on nothing passes on the connections there are; their ends stay open and acknowledge."""
        with self._lock:
            for one in self._peers:
                if one not in self._silent:
                    self._selector.unregister(one)
                    self._silent.add(one)

    def answer(self, *, at_most: int | None) -> None:
        """Let that many connections work, counting those there are, and have others find silence; None: no limit."""
        with self._lock:
            self._answered_at_most = at_most

    def cut(self, number: int) -> None:
        """End one of the connections there are, counted from 0 in the order in which they were made."""
        with self._lock:
            near = list(self._peers)[2 * number]
            near.shutdown(socket.SHUT_RDWR)  # which the selector sees, and closes both ends

    @property
    def connections(self) -> int:
        """Connections made so far and still open."""
        with self._lock:
            return len(self._peers) // 2

    def _forward_all(self) -> None:
        while not self._ended.is_set():
            for key, _ in self._selector.select(timeout=0.1):
                source = key.fileobj
                assert isinstance(source, socket.socket)
                with self._lock:
                    self._accept() if source is self._server else self._forward(source)

    def _accept(self) -> None:
        near, _ = self._server.accept()
        ignored = self._answered_at_most is not None and len(self._peers) // 2 >= self._answered_at_most
        far = socket.create_connection(self._target)
        self._peers[near], self._peers[far] = far, near
        if ignored:
            self._silent |= {near, far}
            return
        for one in (near, far):
            self._selector.register(one, selectors.EVENT_READ)

    def _forward(self, source: socket.socket) -> None:
        if source in self._silent or source not in self._peers:
            return
        peer = self._peers[source]
        try:
            data = source.recv(65536)
            if data:
                peer.sendall(data)
        except OSError:
            data = b""
        if not data:
            for one in (source, peer):
                del self._peers[one]
                self._selector.unregister(one)
                one.close()

"""HTTP to servers that are reached without a proxy: one for the outside must not get between us and them.

httpx reads all certificates of the authorities for each client that is not told: some 30 ms of CPU, more than ten
answers of a RabbitMQ take, and for nothing where an address is plain http.
"""

from __future__ import annotations

import functools
import ssl
from types import TracebackType
from typing import Self

import httpx


def client(url: str, *, timeout_seconds: float, auth: tuple[str, str] | None = None) -> httpx.Client:
    """Return a client of the server at `url`, as user and password of `auth` where given."""
    scheme = url.partition(":")[0].lower()
    return httpx.Client(base_url=url, auth=auth, timeout=timeout_seconds, trust_env=False, verify=trusted(scheme))


class Connected:
    """What asks a server by a client, `_client`, whose connections end with the block."""

    _client: httpx.Client

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def get(url: str, *, timeout_seconds: float) -> httpx.Response:
    """Return the answer to one request. Raises httpx.HTTPError when there is none."""
    with client(url, timeout_seconds=timeout_seconds) as one:
        return one.get(url)


@functools.cache
def trusted(scheme: str) -> ssl.SSLContext:
    """Return what a client at addresses of a scheme verifies by: for https the authorities, else nobody."""
    if scheme == "https":
        return httpx.create_ssl_context(trust_env=False)
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

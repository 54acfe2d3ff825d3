"""Whom HTTP clients believe.

httpx reads all certificates of the authorities for each client that is not told: some 30 ms of CPU, more than ten
answers of a RabbitMQ take, and for nothing where an address is plain http.
"""

from __future__ import annotations

import functools
import ssl

import httpx


@functools.cache
def trusted(scheme: str) -> ssl.SSLContext:
    """Return what an httpx client at addresses of a scheme verifies by: for https the authorities, else nobody."""
    if scheme == "https":
        return httpx.create_ssl_context(trust_env=False)
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

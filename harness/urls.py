"""Showing the URLs of services, which carry passwords."""

from __future__ import annotations

from urllib.parse import urlsplit


def redact(url: str) -> str:
    """The URL without its password, for messages; what cannot be parsed is not shown at all."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        netloc = f"{parts.username}@{host}" if parts.username else host
        return parts._replace(netloc=f"{netloc}:{parts.port}" if parts.port else netloc).geturl()
    except ValueError:
        return "(unreadable URL)"

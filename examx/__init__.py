"""Examx, the reference application: 25 tasks of an examination platform, run by Celery.

`celery -A examx` finds `examx.app`. It is made on first use, so that the catalogue, the effects store and the
stand-in services can be imported without Celery.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from examx.application import app

__all__ = ["app"]


def __getattr__(name: str) -> Any:
    """Make `examx.app` on first use (PEP 562)."""
    if name == "app":
        from examx.application import app

        return app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

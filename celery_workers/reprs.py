"""What Celery shows of a task's arguments (events, Flower, logs), word for word, in a fraction of its time. Pure."""

from __future__ import annotations

from celery.utils.saferepr import saferepr

_PLAIN = frozenset((str, int, float, bool, type(None)))


def arguments_repr(arguments: object, *, most: int, levels: int) -> str:
    """Return `saferepr(arguments, most, levels)`: at most about `most` characters, nested at most `levels` deep.

    A flat list, tuple or dict of plain values, which is what most tasks have, is not worth Celery's general way.
    """
    quick = _flat(arguments)
    return quick if quick is not None and len(quick) < most else str(saferepr(arguments, most, levels))


def _flat(arguments: object) -> str | None:
    if type(arguments) is dict:
        if not (_PLAIN.issuperset(map(type, arguments.values())) and all(type(key) is str for key in arguments)):
            return None
        return "{" + ", ".join([f"{_word(key)}: {_word(value)}" for key, value in arguments.items()]) + "}"
    if type(arguments) is not tuple and type(arguments) is not list:
        return None
    if not _PLAIN.issuperset(map(type, arguments)):
        return None
    words = ", ".join(map(_word, arguments))
    if type(arguments) is list:
        return f"[{words}]"
    return f"({words},)" if len(arguments) == 1 else f"({words})"


def _word(value: object) -> str:
    return "'" + value.replace("'", "\\'") + "'" if type(value) is str else str(value)

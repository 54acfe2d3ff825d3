"""What was sent on one channel and is not answered yet. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Confirms(Generic[T]):
    """Items by delivery tag. The broker counts a channel's messages from 1, and so does this."""

    def __init__(self) -> None:
        self._last_tag = 0
        self._unanswered: OrderedDict[int, T] = OrderedDict()

    def __len__(self) -> int:
        return len(self._unanswered)

    def sent(self, item: T | None) -> None:
        """One more message goes out; None is one whose answer nobody asks for."""
        self._last_tag += 1
        if item is not None:
            self._unanswered[self._last_tag] = item

    def answered(self, tag: int, *, multiple: bool) -> list[T]:
        """Take out what an answer is about: one message, or with `multiple` all up to it (0: all there are)."""
        if not multiple:
            item = self._unanswered.pop(tag, None)
            return [] if item is None else [item]
        taken = []
        while self._unanswered and (tag == 0 or next(iter(self._unanswered)) <= tag):
            taken.append(self._unanswered.popitem(last=False)[1])
        return taken

    def oldest(self, matches: Callable[[T], bool]) -> T | None:
        """Return the first unanswered item that `matches`; it stays."""
        return next((item for item in self._unanswered.values() if matches(item)), None)

    def take_all(self) -> list[T]:
        """Take out everything that is unanswered, in the order it was sent."""
        taken = list(self._unanswered.values())
        self._unanswered.clear()
        return taken

"""The window of KEDA's cron trigger: open from one cron time to another, in a time zone.

Five fields (minute, hour, day of month, month, day of week) with lists, ranges, steps and names, as robfig/cron v3
reads them; a time that a clock change skips does not happen, one that it repeats happens twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of month", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, start=1)}),
    ("day of week", 0, 6, {name: number for number, name in enumerate(_DAYS)}),
)
_SEARCH_YEARS = 5


@dataclass(frozen=True)
class _Field:
    numbers: frozenset[int]
    star: bool


@dataclass(frozen=True)
class CronSchedule:
    """A five-field cron expression."""

    expression: str
    fields: tuple[_Field, ...]

    @classmethod
    def parse(cls, expression: str) -> CronSchedule:
        """Read an expression. Raises ValueError naming the field that is wrong."""
        parts = expression.split()
        if len(parts) != len(_FIELDS):
            raise ValueError(f"cron expression {expression!r} has {len(parts)} fields, must have {len(_FIELDS)}")
        return cls(expression, tuple(_field(part, *limits) for part, limits in zip(parts, _FIELDS, strict=True)))

    def next_after(self, now_seconds: float, zone: ZoneInfo) -> float | None:
        """Return the next time of the schedule after `now_seconds` (Unix time), None if there is none in five years."""
        local = datetime.fromtimestamp(now_seconds, UTC).astimezone(zone)
        day = local.date() - timedelta(days=1)  # a repeated hour may belong to the day before
        while day.year <= local.year + _SEARCH_YEARS:
            later = [moment for moment in self._moments(day, zone) if moment > now_seconds]
            if later:
                return min(later)
            day += timedelta(days=1)
        return None

    def _moments(self, day: date, zone: ZoneInfo) -> Iterator[float]:
        minutes, hours = self.fields[0].numbers, self.fields[1].numbers
        if not self._day_matches(day):
            return
        for wall in (datetime(day.year, day.month, day.day, hour, minute) for hour in hours for minute in minutes):
            for fold in (0, 1):
                moment = wall.replace(tzinfo=zone, fold=fold).timestamp()
                if datetime.fromtimestamp(moment, zone).replace(tzinfo=None) == wall:
                    yield moment

    def _day_matches(self, day: date) -> bool:
        """Tell whether month and day fit; two restricted day fields are alternatives, as cron always had it."""
        of_month, month, of_week = self.fields[2:]
        if day.month not in month.numbers:
            return False
        fits_month, fits_week = day.day in of_month.numbers, (day.isoweekday() % 7) in of_week.numbers
        if of_month.star or of_week.star:
            return fits_month and fits_week
        return fits_month or fits_week


@dataclass(frozen=True)
class CronWindow:
    """From `start` to `end`, again and again, by the clock of `timezone`."""

    start: CronSchedule
    end: CronSchedule
    timezone: str

    @classmethod
    def parse(cls, *, start: str, end: str, timezone: str, path: str) -> CronWindow:
        """Read the three settings. Raises ValueError naming the one that is wrong."""
        if start == end:
            raise ValueError(f"{path}: start and end are the same time, {start!r}")
        try:
            ZoneInfo(timezone)
        except (KeyError, ValueError, OSError):  # an unknown name, a malformed one, a directory of the database
            raise ValueError(f"{path}.timezone is {timezone!r}, must be a name such as Europe/Berlin") from None
        try:
            return cls(CronSchedule.parse(start), CronSchedule.parse(end), timezone)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    def is_open(self, now_seconds: float) -> bool:
        """Tell whether Unix time `now_seconds` is inside: the next end comes no later than the next start."""
        zone = ZoneInfo(self.timezone)
        start, end = (schedule.next_after(now_seconds, zone) for schedule in (self.start, self.end))
        if start is None or end is None:  # KEDA then compares with a time before all others
            return start is None
        return start >= end


def _field(part: str, name: str, low: int, high: int, names: dict[str, int]) -> _Field:
    try:
        ranges = [_range(entry, low, high, names) for entry in part.split(",") if entry]
    except ValueError as error:
        raise ValueError(f"cron field {name} is {part!r}: {error}") from None
    return _Field(frozenset().union(*(numbers for numbers, _ in ranges)), any(star for _, star in ranges))


def _range(entry: str, low: int, high: int, names: dict[str, int]) -> tuple[frozenset[int], bool]:
    span, slash, step_text = entry.partition("/")
    step = _number(step_text, {}) if slash else 1
    star = span in ("*", "?")
    first_text, hyphen, last_text = span.partition("-")
    first = low if star else _number(first_text, names)
    last = high if star or (slash and not hyphen) else _number(last_text, names) if hyphen else first
    if not low <= first <= last <= high or step < 1:
        raise ValueError(f"must be within {low}-{high}, rising, with a step of 1 or more")
    return frozenset(range(first, last + 1, step)), star and step == 1


def _number(text: str, names: dict[str, int]) -> int:
    if text.lower() in names:
        return names[text.lower()]
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text!r} is not a number")
    return int(text)

"""The cron trigger's window."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from harness.autoscaling.cron import CronSchedule, CronWindow

BERLIN = ZoneInfo("Europe/Berlin")
UTC = ZoneInfo("UTC")


def at(text, zone=BERLIN, fold=0):
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp()


def following(expression, text, zone=BERLIN):
    moment = CronSchedule.parse(expression).next_after(at(text, zone), zone)
    return None if moment is None else datetime.fromtimestamp(moment, zone).strftime("%Y-%m-%d %H:%M")


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("0 8 * * *", "2026-09-21 07:59:59", "2026-09-21 08:00"),
        ("0 8 * * *", "2026-09-21 08:00:00", "2026-09-22 08:00"),
        ("*/15 9-17 * * mon-fri", "2026-09-18 17:45", "2026-09-21 09:00"),
        ("5/20 * * * *", "2026-09-21 07:26", "2026-09-21 07:45"),
        ("0 0 1 jan,jul ?", "2026-02-01 00:00", "2026-07-01 00:00"),
        ("0 0 29 2 *", "2026-03-01 00:00", "2028-02-29 00:00"),
        ("0 0 13 * fri", "2026-09-21 00:00", "2026-09-25 00:00"),  # two day fields are alternatives
        ("0 0 */2 * fri", "2026-09-21 12:00", "2026-09-23 00:00"),  # a stepped star restricts as well
        ("0 0 30 2 *", "2026-03-01 00:00", None),
    ],
)
def test_next_time(expression, after, expected):
    assert following(expression, after) == expected


def test_a_skipped_hour_does_not_happen_and_a_repeated_one_happens_twice():
    assert following("30 2 * * *", "2027-03-27 12:00") == "2027-03-29 02:30"  # clocks go from 2 to 3 on the 28th
    schedule = CronSchedule.parse("30 2 * * *")
    first = schedule.next_after(at("2026-10-25 01:00"), BERLIN)
    assert schedule.next_after(first, BERLIN) == first + 3600


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-09-21 07:59", False),
        ("2026-09-21 08:00", True),
        ("2026-09-21 12:00", True),
        ("2026-09-21 17:59", True),
        ("2026-09-21 18:00", False),
        ("2026-09-21 23:00", False),
    ],
)
def test_window_of_a_day(moment, is_open):
    window = CronWindow.parse(start="0 8 * * *", end="0 18 * * *", timezone="Europe/Berlin", path="p")
    assert window.is_open(at(moment)) is is_open


def test_window_over_midnight_and_over_days():
    night = CronWindow.parse(start="0 22 * * *", end="0 6 * * *", timezone="UTC", path="p")
    assert night.is_open(at("2026-09-21 23:00", UTC))
    assert night.is_open(at("2026-09-22 05:59", UTC))
    assert not night.is_open(at("2026-09-22 06:00", UTC))
    exams = CronWindow.parse(start="0 7 21 9 *", end="0 20 25 9 *", timezone="UTC", path="p")
    assert exams.is_open(at("2026-09-23 03:00", UTC))
    assert not exams.is_open(at("2026-09-26 03:00", UTC))


@pytest.mark.parametrize(
    "expression",
    ["60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 7", "5-1 * * * *", "*/0 * * * *", "a * * * *"],
)
def test_refuses(expression):
    with pytest.raises(ValueError, match="cron field"):
        CronSchedule.parse(expression)

"""What a run shows in a terminal."""

from __future__ import annotations

import io

import pytest

from harness.cli.progress import TerminalProgress

SAMPLE = {
    "t": 12.0,
    "queues": {name: {"ready": 5000, "unacked": 200} for name in ("cpu", "io", "mixed")},
    "replicas": {f"celery-{name}-worker": {"ready": 1, "desired": 4} for name in ("cpu", "io", "mixed")},
}
COUNTS = {"offered": 10_000, "accepted": 5_200}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_narrow_terminal_never_breaks_a_line_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    stream = Terminal()
    progress = TerminalProgress(stream)
    progress.sample(SAMPLE, COUNTS)
    first = stream.getvalue()
    progress.sample(SAMPLE, COUNTS)
    second = stream.getvalue().removeprefix(first)
    shown = first.removeprefix("\r\x1b[J").split("\n")
    assert len(shown) > 1
    assert max(map(len, shown)) < 80
    assert second == f"\x1b[{len(shown) - 1}A{first}"


def test_what_comes_after_the_live_figures_begins_on_a_fresh_line() -> None:
    stream = Terminal()
    progress = TerminalProgress(stream)
    progress.sample(SAMPLE, COUNTS)
    progress.close()
    progress.close()
    assert stream.getvalue().endswith("4\n")
    assert not stream.getvalue().endswith("\n\n")


def test_elsewhere_a_line_is_added_every_few_seconds() -> None:
    now = [0.0]
    stream = io.StringIO()
    progress = TerminalProgress(stream, clock=lambda: now[0])
    for second in range(11):
        now[0] = float(second)
        progress.sample(SAMPLE, COUNTS)
    assert len(stream.getvalue().splitlines()) == 3
    assert "\x1b" not in stream.getvalue()

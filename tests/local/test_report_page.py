"""The report in a real browser: it draws, reports no error, fits a phone, follows the theme. Needs Chromium."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from harness.compare import page as compare_page
from harness.compare import panels as compare_panels
from harness.spike import report
from harness.spike.panels import panels
from harness.spike.result import Result
from tests.unit.compare import made
from tests.unit.spike_report import scenes

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
    "about:blank",
]
START_SECONDS = 30.0
DRAW_SECONDS = 30.0

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to look at the page with"),
    pytest.mark.timeout(120),
    pytest.mark.xdist_group("browser"),
]


class Tab:
    """One page, spoken to by the DevTools protocol."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.number = 0
        self.loaded = False
        self.complaints: list[str] = []

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self.number += 1
        await self.socket.send_json({"id": self.number, "method": method, "params": parameters})
        while (message := await self.received()).get("id") != self.number:
            pass
        assert "error" not in message, message
        return message["result"]

    async def received(self) -> dict[str, Any]:
        message = await asyncio.wait_for(self.socket.receive_json(), START_SECONDS)
        if message.get("method") in {"Runtime.exceptionThrown", "Log.entryAdded"}:
            self.complaints.append(json.dumps(message["params"])[:500])
        self.loaded = self.loaded or message.get("method") == "Page.loadEventFired"
        return message

    async def evaluate(self, expression: str) -> Any:
        found = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def show(self, page: Path, *, width: int, theme: str = "light") -> None:
        for domain in ("Runtime", "Log", "Page"):
            await self.call(f"{domain}.enable")
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        await self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
        self.loaded = False
        await self.call("Page.navigate", url=page.as_uri())
        while not self.loaded:  # what is asked of a page that is just left is never answered
            await self.received()
        for _ in range(int(DRAW_SECONDS / 0.1)):
            if await self.evaluate("document.documentElement?.dataset.drawn") == "yes":
                return
            await asyncio.sleep(0.1)
        pytest.fail(f"the charts were not drawn within {DRAW_SECONDS:.0f} s: {self.complaints}")


@asynccontextmanager
async def browser() -> AsyncIterator[Tab]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [str(CHROMIUM), f"--user-data-dir={profile}", *FLAGS]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            port = await port_of(Path(profile) / "DevToolsActivePort")
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                    targets = await answer.json()
                url = next(target["webSocketDebuggerUrl"] for target in targets if target["type"] == "page")
                async with session.ws_connect(url, max_msg_size=0) as socket:
                    yield Tab(socket)
        finally:
            process.terminate()
            process.wait(timeout=20)


async def port_of(path: Path) -> str:
    for _ in range(int(START_SECONDS / 0.1)):
        if path.is_file() and (text := path.read_text().split()):
            return text[0]
        await asyncio.sleep(0.1)
    pytest.fail(f"the browser opened no debugging port within {START_SECONDS:.0f} s")


def look(outcome: Result, directory: Path, see: Callable[[Tab, Path], Any]) -> None:
    """Write the page and let `see` look at it in a browser of its own."""
    look_at(report.write(outcome, directory), see)


def look_at(page: Path, see: Callable[[Tab, Path], Any]) -> None:
    async def run() -> None:
        async with browser() as tab:
            await see(tab, page)
            assert tab.complaints == []

    asyncio.run(run())


def test_it_fits_a_phone_and_a_desk_in_both_themes(tmp_path: Path) -> None:
    outcome = scenes.surge()
    drawn = panels(outcome)

    async def see(tab: Tab, page: Path) -> None:
        for width, theme in ((390, "light"), (1280, "dark")):
            await tab.show(page, width=width, theme=theme)
            assert await tab.evaluate("document.documentElement.scrollWidth") <= width
            curves = "[...document.querySelectorAll('.chart')].map((c) => c.querySelectorAll('path.js-line').length)"
            assert await tab.evaluate(curves) == [len(panel.series) for panel in drawn]
            page_colour = await tab.evaluate("getComputedStyle(document.documentElement).backgroundColor")
            assert page_colour == rgb(report.PALETTE[theme]["page"])
            line = await tab.evaluate("document.querySelector('.chart[data-panel=\"1\"] path.js-line').style.stroke")
            assert line == rgb(report.PALETTE[theme][drawn[1].series[0].colour])

    look(outcome, tmp_path, see)


@pytest.mark.full
def test_pointing_at_one_chart_reads_all(tmp_path: Path) -> None:
    async def see(tab: Tab, page: Path) -> None:
        await tab.show(page, width=1280)
        await tab.evaluate("document.querySelectorAll('.chart')[1].scrollIntoView({block: 'center'})")
        box = await tab.evaluate(
            "(() => { const b = document.querySelectorAll('.chart')[1].getBoundingClientRect();"
            " return [b.x, b.y, b.width, b.height]; })()"
        )
        for share in (0.4, 0.5):
            await tab.call(
                "Input.dispatchMouseEvent", type="mouseMoved", x=box[0] + box[2] * share, y=box[1] + box[3] / 2
            )
            await asyncio.sleep(0.3)
        hovered = (
            "[...document.querySelectorAll('.chart')].filter((c) => c.querySelector('.hoverlayer .legend')).length"
        )
        for _ in range(50):
            if await tab.evaluate(hovered) == 6:
                return
            await asyncio.sleep(0.1)
        pytest.fail(f"only {await tab.evaluate(hovered)} of 6 charts show their figures")

    look(scenes.campaign(), tmp_path, see)


def test_hostile_names_do_nothing(tmp_path: Path) -> None:
    async def see(tab: Tab, page: Path) -> None:
        await tab.show(page, width=390)
        await asyncio.sleep(0.5)
        assert await tab.evaluate("document.title") != "owned"
        assert await tab.evaluate("document.images.length") == 0
        assert await tab.evaluate("document.querySelectorAll('.chart image, .chart a').length") == 0
        assert await tab.evaluate("document.documentElement.scrollWidth") <= 390

    look(scenes.hostile(), tmp_path, see)


@pytest.mark.full
def test_a_comparison_draws_each_scenario_on_an_axis_of_its_own(tmp_path: Path) -> None:
    slow, fast = made.surge(io_pods=1), made.surge()
    twice = made.comparison([slow], [fast]).compared + made.comparison([fast], [fast]).compared
    written = compare_page.write(replace(made.comparison([slow], [fast]), compared=twice), tmp_path)
    ends = [max(one.timeline.seconds[-1] for one in sides) + 1 for sides in ((slow, fast), (fast, fast))]

    async def see(tab: Tab, page: Path) -> None:
        for width in (390, 1280):
            await tab.show(page, width=width)
            assert await tab.evaluate("document.documentElement.scrollWidth") <= width
            axes = "[1, 2].map((n) => document.querySelector(`#scenario-${n} .chart`).layout.xaxis.range[1])"
            assert await tab.evaluate(axes) == ends
            curves = "[...document.querySelectorAll('.chart')].map((c) => c.querySelectorAll('path.js-line').length)"
            drawn = [
                len(panel.series)
                for before, after in ((slow, fast), (fast, fast))
                for panel in compare_panels.panels(before, after, budget=made.BUDGET)
            ]
            assert await tab.evaluate(curves) == drawn

    look_at(written, see)


def rgb(colour: str) -> str:
    return "rgb({}, {}, {})".format(*(int(colour[start : start + 2], 16) for start in (1, 3, 5)))

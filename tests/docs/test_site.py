"""The site of the documentation, built as `make docs` builds it."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.chart.values import ROOT

pytestmark = [pytest.mark.full, pytest.mark.xdist_group("docs-site"), pytest.mark.timeout(600)]
# What a browser fetches by itself; <a href> it does not.
LOADED = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc="([^"]+)"|<link\b[^>]*\bhref="([^"]+)"|url\(([^)]+)\)"""
)


@pytest.fixture(scope="module", autouse=True)
def _sphinx() -> None:
    subprocess.run(
        [sys.executable, ROOT / "scripts" / "bootstrap.py", "docs/requirements.lock"], check=True, timeout=500
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the site is made from."""
    listed = subprocess.check_output(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, text=True
    )
    for name in listed.splitlines():
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def build(checkout: Path) -> subprocess.CompletedProcess[str]:
    """Run the line of `make docs` that builds, with this virtualenv's Sphinx, in a checkout."""
    dry = ["make", "--no-print-directory", "-n", "docs", f"BIN={Path(sys.executable).parent}"]
    lines = subprocess.check_output(dry, cwd=ROOT, text=True).splitlines()
    (line,) = [each for each in lines if "sphinx-build" in each]
    return subprocess.run(shlex.split(line), cwd=checkout, capture_output=True, text=True, timeout=300)


def test_the_site_is_built_and_loads_nothing_from_elsewhere(checkout: Path) -> None:
    done = build(checkout)
    assert done.returncode == 0, done.stderr
    site = checkout / "dist" / "docs"
    pages = list(site.rglob("*.html"))
    assert (site / "docs" / "how-to" / "your-app.html") in pages
    for page in [*pages, *site.rglob("*.css")]:
        for found in LOADED.finditer(page.read_text()):
            target = next(filter(None, found.groups())).strip("\"'")
            assert not re.match(r"(https?:)?//", target), f"{page.relative_to(site)} loads {target}"
    home = re.search(r"url=([^\"]+)", (site / "index.html").read_text())
    assert home is not None
    assert (site / home[1]) in pages


def test_broken_links_fail_and_are_named(checkout: Path) -> None:
    page = checkout / "docs" / "how-to" / "soak.md"
    broken = ("nowhere.md", "../runbook.md#no-such-heading", "../../values/none.yaml", "none.png")
    images = [f"{'!' if name.endswith('.png') else ''}[x]({name})" for name in broken]
    page.write_text("\n\n".join([page.read_text(), *images]))
    done = build(checkout)
    assert done.returncode != 0
    warned = [line for line in done.stderr.splitlines() if "docs/how-to/soak.md" in line]
    assert [name for name in broken if not any(name.rpartition("#")[2] in line for line in warned)] == []

"""What generates pages of the reference. That the pages are current, tests/chart/test_golden.py says."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from harness.chart.values import ROOT
from tests.golden import code_page, commands_page


def test_every_command_has_a_section_with_its_help() -> None:
    @click.group()
    def program() -> None:
        """Do things."""

    @program.command()
    @click.option("--speed", help="How fast.")
    def run(speed: str) -> None:
        """Run it."""

    text = commands_page.insert(f"# Mine\n{commands_page.MARKER}forgotten", program, "tool")
    assert text.startswith("# Mine\n")
    assert "forgotten" not in text
    assert "## tool\n\n```text\nUsage: tool [OPTIONS] COMMAND" in text
    assert "## tool run\n" in text
    assert "How fast." in text


def test_a_package_of_the_harness_has_a_layer() -> None:
    layered = {module for layer in code_page.layers(ROOT) for module in layer}
    assert layered == set(code_page.packages(ROOT, "harness"))


def test_the_map_names_every_package() -> None:
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for name in ("harness", "celery_workers", "examx")
        for path in (ROOT / name).glob("*/**/__init__.py")
    }
    text = code_page.insert("", ROOT)
    assert found == {name for name in found if f"`{name}`" in text}


def test_a_module_without_a_docstring_is_named(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "mail.py").write_text("A = 1\n")
    with pytest.raises(ValueError, match=r"shop/mail\.py: no docstring"):
        code_page.meaning(tmp_path, "shop.mail")

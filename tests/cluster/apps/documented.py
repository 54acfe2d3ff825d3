"""What docs/how-to/your-app.md tells a stranger to write and to type."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "your-app.md"
MINE = "mine.yaml"


def values_file(directory: Path) -> Path:
    """Write the page's values file as the page names it; return its path."""
    found = re.search(rf"`{MINE}`.*?```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    file = directory / MINE
    file.write_text(found[1])
    return file


def commands() -> list[str]:
    """Return the page's commands, in order."""
    blocks = re.findall(r"```console\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines() if line.startswith("$ ")]

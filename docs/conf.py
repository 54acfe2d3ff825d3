"""How Sphinx builds the site, `make docs`. Pages are the repository's own Markdown, each where it stands."""

from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent

project = "celery-workers"
release = yaml.safe_load((ROOT / "charts" / "celery-workers" / "Chart.yaml").read_text())["version"]
html_title = f"celery-workers {release}"

# The source is the whole checkout, so that a link means the same in the repository and on the site.
root_doc = "docs/index"
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "charts/celery-workers/README.md",
    "tools/*-oracle/README.md",
    "docs/*.md",
    "docs/*/*.md",
]
exclude_patterns = [".*", "build", "dist", "reports", "**/node_modules"]

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
myst_heading_anchors = 4  # the anchors that a repository's own viewer gives
highlight_language = "text"
nitpicky = True  # a link that leads nowhere is a warning, and `make docs` fails on warnings

html_theme = "furo"
html_extra_path = ["site"]  # index.html, which leads to root_doc
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False

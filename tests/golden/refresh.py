"""Golden renders: one file for each file of `values/`. `python -m tests.golden.refresh` writes them, tests compare.

Left out is what changes with the Python files the chart carries: their text (one line says which file it is) and the
checksums of it.
"""

import copy
import re
import sys
from pathlib import Path
from typing import Any

from harness.chart.render import CHART, environment_files, render
from harness.chart.values import VALUES
from harness.chart.yaml_strict import dump_all

FOLDER = Path(__file__).resolve().parent
# What an overlay is laid over, where that is not prod.
BASES = {"local": "dev"}
ENVIRONMENTS = ("dev", "staging", "uat", "prod", "baseline")
HEADER = "# Written by `make golden`; a change here is a change of what users install.\n"


def cases() -> dict[str, str]:
    """Return golden name -> environments, as `--env` takes them."""
    named = {}
    for path in sorted(VALUES.glob("*.yaml")):
        base = BASES.get(path.stem, "prod")
        named[path.stem] = path.stem if path.stem in ENVIRONMENTS else f"{base},{path.stem}"
    return named


def golden(environments: str, *, helm: Path | None = None) -> str:
    """Return the text a golden file must have."""
    manifests = render(environment_files(environments), helm=helm)
    return HEADER + dump_all([stable(manifest) for manifest in manifests])


def stable(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return a manifest without what follows from the chart's Python files."""
    result = copy.deepcopy(manifest)
    for name, text in (result.get("data") or {}).items():
        source = CHART / "files" / name
        if source.exists() and text.strip() == source.read_text().strip():
            result["data"][name] = f"(the text of files/{name})"
    if result["kind"] == "Job":
        result["metadata"]["name"] = re.sub(r"-[0-9a-f]{8}$", "-(hash)", result["metadata"]["name"])
    annotations = ((result.get("spec") or {}).get("template") or {}).get("metadata", {}).get("annotations", {})
    for name in annotations:
        if name.endswith("checksum"):
            annotations[name] = "(hash)"
    return result


def path_of(name: str) -> Path:
    return FOLDER / f"{name}.yaml"


def main() -> None:
    """Write every golden file and delete those whose values file is gone."""
    wanted = cases()
    for name, environments in wanted.items():
        text = golden(environments)
        path = path_of(name)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            print(f"golden: wrote {path.name} ({environments})", file=sys.stderr)
    for path in FOLDER.glob("*.yaml"):
        if path.stem not in wanted:
            path.unlink()
            print(f"golden: deleted {path.name}", file=sys.stderr)


if __name__ == "__main__":
    main()

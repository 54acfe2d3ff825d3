"""What is written from other files: golden renders, schema, README's values, annotations, dashboards, reference pages.

There is a render of each file of `values/`, and one of each file of `tests/golden/values/` over production: what the
chart can do beyond what the repository's own environments ask of it.

`python -m tests.golden.refresh` writes them, tests compare.

Left out of a render is what changes with the Python files the chart carries: their text (one line says which file it
is) and the checksums of it.
"""

import argparse
import contextlib
import copy
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.chart import schema_source, values_reference
from harness.chart.render import CHART, environment_files, render
from harness.chart.values import ROOT, VALUES, defaults
from harness.chart.values_schema import schema_file
from harness.chart.yaml_strict import dump_all
from harness.cli import cli
from harness.errors import HarnessError
from harness.files import write_atomically
from harness.monitoring import grafana
from harness.monitoring.boards import boards, reference
from harness.monitoring.boards.board import Board
from harness.release import chart_yaml
from tests.golden import code_page, commands_page

FOLDER = Path(__file__).resolve().parent
REFERENCE = ROOT / "docs" / "reference"
FEATURES = FOLDER / "values"
# What an overlay is laid over, where that is not prod.
BASES = {
    "local": "dev",
    "phase-1": "baseline",
    "phase-1-back": "baseline,phase-1",
    "phase-2": "baseline,phase-1",
    "phase-2-back": "baseline,phase-1,phase-2",
    "phase-3": "prod,keda",
}
# Pages of the reference that follow from code, each below a mark of its own.
PAGES: Mapping[str, Callable[[str], str]] = {
    "dashboards.md": lambda text: reference.insert(text, dashboards()),
    "commands.md": lambda text: commands_page.insert(text, cli, "harness"),
    "code.md": lambda text: code_page.insert(text, ROOT),
}
ENVIRONMENTS = ("dev", "staging", "uat", "prod", "baseline")
HEADER = "# Written by `make golden`; a change here is a change of what users install.\n"


def cases() -> dict[str, str]:
    """Return golden name -> environments, as `--env` takes them."""
    named = {}
    for path in sorted(VALUES.glob("*.yaml")):
        base = BASES.get(path.stem, "prod")
        named[path.stem] = path.stem if path.stem in ENVIRONMENTS else f"{base},{path.stem}"
    return named


def features() -> dict[str, list[Path]]:
    """Return golden name -> values files, for each of FEATURES."""
    return {f"feature-{path.stem}": [*environment_files("prod"), path] for path in sorted(FEATURES.glob("*.yaml"))}


def files() -> dict[str, list[Path]]:
    """Return golden name -> values files, for every golden file."""
    return {name: environment_files(environments) for name, environments in cases().items()} | features()


def golden(values: list[Path], *, helm: Path | None = None) -> str:
    """Return the text a golden file must have."""
    manifests = render(values, helm=helm)
    return HEADER + dump_all([stable(manifest) for manifest in manifests])


def stable(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return a manifest without what follows from the chart's Python files."""
    result = copy.deepcopy(manifest)
    for name, text in (result.get("data") or {}).items():
        for folder in (CHART / "files", CHART / "files" / "dashboards"):
            source = folder / name
            if source.exists() and text.strip() == source.read_text().strip():
                result["data"][name] = f"(the text of {source.relative_to(CHART)})"
    if result["kind"] == "Job":
        result["metadata"]["name"] = re.sub(r"-[0-9a-f]{8}$", "-(hash)", result["metadata"]["name"])
    annotations = ((result.get("spec") or {}).get("template") or {}).get("metadata", {}).get("annotations", {})
    for name in annotations:
        if name.endswith("checksum"):
            annotations[name] = "(hash)"
    return result


def path_of(name: str) -> Path:
    return FOLDER / f"{name}.yaml"


def dashboards(chart: Path = CHART) -> tuple[Board, ...]:
    """Return the dashboards, whose limits are those of the chart's alerts."""
    return boards(defaults(chart)["monitoring"]["alerts"])


def generated(chart: Path = CHART) -> dict[Path, str]:
    """Return path -> text of what follows from values.yaml, its fragment, CHANGELOG.md and the code."""
    schema = schema_source.build((chart / "values.yaml").read_text(), (chart / "schema.fragment.yaml").read_text())
    readme, description = chart / "README.md", chart / "Chart.yaml"
    changelog = (ROOT / "CHANGELOG.md").read_text()
    return {
        description: chart_yaml.insert(description.read_text(), changelog, defaults(chart)),
        schema_file(chart): json.dumps(schema, indent=2, ensure_ascii=False) + "\n",
        readme: values_reference.insert(readme.read_text(), schema, defaults(chart)),
        **{REFERENCE / name: insert((REFERENCE / name).read_text()) for name, insert in PAGES.items()},
        **{chart / "files" / "dashboards" / name: text for name, text in grafana.files(dashboards(chart)).items()},
    }


def main() -> None:
    """Write every file and delete golden renders whose values file is gone; with --check only print what differs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true", help="print the files that are not what their sources give")
    if parser.parse_args().check:
        for path in differing():
            print(path.relative_to(ROOT))
        return
    wanted = files()
    with _put_back_unless_all(made := generated()):
        for path, text in made.items():  # first: helm reads the schema
            _write(path, text, "CHANGELOG.md, values.yaml, code")
        texts = {name: golden(values) for name, values in wanted.items()}  # before any is written: all or none
    for name, values in wanted.items():
        _write(path_of(name), texts[name], ", ".join(path.stem for path in values))
    for path in _left_over(wanted):
        path.unlink()
        print(f"golden: deleted {path.name}", file=sys.stderr)


@contextlib.contextmanager
def _put_back_unless_all(paths: Iterable[Path]) -> Iterator[None]:
    """Have the files as they were where the block fails."""
    before = {path: path.read_text() if path.exists() else None for path in paths}
    try:
        yield
    except BaseException:
        for path, text in before.items():
            if text is None:
                path.unlink(missing_ok=True)
            else:
                write_atomically(path, text)
        raise


def differing() -> list[Path]:
    """Return the files that are not what their sources give, and those that nothing gives."""
    wanted = files()
    texts = generated() | {path_of(name): golden(values) for name, values in wanted.items()}
    return [path for path, text in texts.items() if not _has(path, text)] + _left_over(wanted)


def _left_over(wanted: Mapping[str, object]) -> list[Path]:
    return [path for path in sorted(FOLDER.glob("*.yaml")) if path.stem not in wanted]


def _has(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


def _write(path: Path, text: str, source: str) -> None:
    if not _has(path, text):
        write_atomically(path, text)
        print(f"golden: wrote {path.name} ({source})", file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except HarnessError as error:
        sys.exit(f"golden: {error}")

"""The committed golden renders, schema and reference are what the chart gives now, under every helm."""

from pathlib import Path

import pytest

from tests.golden import crds, refresh


@pytest.mark.parametrize("name", refresh.files())
def test_render_is_as_committed(helm: Path, name: str) -> None:
    path = refresh.path_of(name)
    assert path.exists(), "run `make golden` and commit what it writes"
    assert refresh.golden(refresh.files()[name], helm=helm) == path.read_text(), "`make golden` shows the difference"


def test_schema_and_reference_follow_from_values_yaml() -> None:
    for path, text in refresh.generated().items():
        assert path.read_text() == text, f"run `make golden` and commit {path.name}"


@pytest.mark.timeout(600)  # the first run downloads the modules
def test_schemas_of_custom_resources_are_those_of_the_pinned_modules() -> None:
    for path, text in crds.documents().items():
        assert path.read_text() == text, f"run `make crds` and commit {path.name}"


def test_there_is_a_golden_file_for_each_values_file_and_no_other() -> None:
    assert {path.stem for path in refresh.FOLDER.glob("*.yaml")} == set(refresh.files())


def test_only_what_follows_from_the_python_files_is_left_out() -> None:
    text = "".join(refresh.path_of(name).read_text() for name in refresh.cases())
    assert "(the text of files/celeryconfig.py)" in text
    assert "import celery" not in text
    other = {"kind": "ConfigMap", "data": {"celeryconfig.py": "not the chart's"}}
    assert refresh.stable(other) == other

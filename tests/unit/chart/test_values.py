"""Values laid over each other as helm does it, and where each key came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.chart import values
from harness.errors import HarnessError, InputError


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    (tmp_path / "chart").mkdir()
    (tmp_path / "chart" / "values.yaml").write_text("a: 1\nb: {c: 2, d: null, e: {f: 1}}\nl: [1, 2]\n")
    return tmp_path / "chart"


def file(directory: Path, name: str, text: str) -> Path:
    path = directory / name
    path.write_text(text)
    return path


def test_maps_merge_lists_replace_null_removes(chart: Path) -> None:
    first = file(chart, "one.yaml", "b: {c: null, e: {g: 3}}\nl: [9]\nnew: {x: 1, z: 2}\n")
    second = file(chart, "two.yaml", "a: 5\nnew: {x: null}\n")
    assert values.load_values([first, second], chart=chart) == {
        "a": 5, "b": {"d": None, "e": {"f": 1, "g": 3}}, "l": [9], "new": {"x": None, "z": 2},
    }  # fmt: skip


def test_single_settings_go_over_the_files(chart: Path) -> None:
    path = file(chart, "one.yaml", "b: {c: 7}\n")
    merged = values.load_values([path], set_values={"b.c": 8, "b.e.f": None, "l": []}, chart=chart)
    assert merged == {"a": 1, "b": {"c": 8, "d": None, "e": {}}, "l": []}


def test_source_is_the_last_file_that_sets_the_key_or_the_nearest_map_around_it(chart: Path) -> None:
    first = file(chart, "one.yaml", "a: 1\nb:\n  c: 1\n")
    second = file(chart, "two.yaml", "# why\nb:\n  e:\n    f: 2\n")
    read = values.read([first, second], set_values={"a": 3}, chart=chart)
    assert read.source(("a",)) == "--set"
    assert read.source(("b", "c")) == f"{first}:3"
    assert read.source(("b", "e", "f")) == f"{second}:4"
    assert read.source(("b", "e", "missing")) == f"{second}:3"
    assert read.source(("l", 0)) is None


def test_environments_in_order_and_unknown_ones(tmp_path: Path) -> None:
    for name in ("prod", "keda", "dev"):
        file(tmp_path, f"{name}.yaml", "")
    found = values.environment_files(" prod, keda,", directory=tmp_path)
    assert found == [tmp_path / "prod.yaml", tmp_path / "keda.yaml"]
    for names, reason in {
        "prdo": "unknown environment 'prdo': did you mean prod?",
        "xyz": "has dev, keda, prod",
        "../prod": "unknown environment '../prod'",
        "prod,prod": "named twice",
        " , ": "no environment named",
    }.items():
        with pytest.raises(InputError) as caught:
            values.environment_files(names, directory=tmp_path)
        assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("assignment", "reason"),
    [
        ("a", "write KEY=VALUE"),
        ("a..b=1", "a part of the key is empty"),
        ("=1", "a part of the key is empty"),
        ("routes[0].queue=x", "helm replaces lists whole"),
        ("a={x: 1, x: 2}", "key 'x' is given twice"),
        ("a=[1", "--set a:2: not YAML"),
    ],
)
def test_settings_that_cannot_be_read(assignment: str, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        values.parse_set([assignment])
    assert reason in str(caught.value)


def test_settings_are_yaml_and_add_up() -> None:
    read = values.parse_set(["a.b=5", "a.c='5'", "a.d=", "e=[1, x]", "f=a=b", r"g.x\.y/z=true"])
    assert read == {"a": {"b": 5, "c": "5", "d": None}, "e": [1, "x"], "f": "a=b", "g": {"x.y/z": True}}


def test_no_chart_is_an_environment_problem(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"values\.yaml is missing"):
        values.load_values([], chart=tmp_path)


leaves = st.none() | st.integers(0, 3)
trees: Any = st.recursive(
    st.dictionaries(st.sampled_from("abc"), leaves, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), leaves | inner, max_size=3),
    max_leaves=8,
)


@given(trees, trees)
def test_overrides_win_and_defaults_stay(overrides: dict[str, Any], base: dict[str, Any]) -> None:
    merged = values.coalesce(overrides, base)
    assert set(merged) == (set(base) | set(overrides)) - {k for k in base if k in overrides and overrides[k] is None}
    for key, value in merged.items():
        if not isinstance(value, dict):
            assert value == (overrides[key] if key in overrides else base[key])
    assert values.coalesce({}, base) == base


@given(trees, trees)
def test_a_later_file_wins_key_by_key(below: dict[str, Any], above: dict[str, Any]) -> None:
    merged = values.lay_over(below, above)
    assert set(merged) == set(below) | set(above)
    for key, value in merged.items():
        maps = isinstance(below.get(key), dict) and isinstance(above.get(key), dict)
        if maps:
            assert value == values.lay_over(below[key], above[key])
        else:
            assert value == (above[key] if key in above else below[key])
    assert values.lay_over({}, below) == values.lay_over(below, {}) == below


@given(trees, trees)
def test_what_is_no_map_cuts_off_what_lies_below_it(below: dict[str, Any], above: dict[str, Any]) -> None:
    # So the order of laying matters, as it does for helm: below + (null + above) would keep what (below + null) drops.
    cut = values.lay_over({"key": below}, {"key": None})
    assert values.lay_over(cut, {"key": above}) == {"key": above}

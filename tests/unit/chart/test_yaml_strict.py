"""Strict YAML: what is refused, with which file, line and key; and helm's meaning of scalars."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.chart import yaml_strict
from harness.errors import InputError


def refusal(text: str) -> str:
    with pytest.raises(InputError) as caught:
        yaml_strict.load_text(text, "values.yaml")
    return str(caught.value)


def test_duplicate_key_names_file_both_lines_and_path() -> None:
    message = refusal("workers:\n  io:\n    concurrency: 1\n    pool: gevent\n    concurrency: 2\n")
    assert message.startswith("values.yaml:5: key 'workers.io.concurrency' is given twice, first on line 3;")


@pytest.mark.parametrize("text", ["{a: 1, a: 2}", '"a": 1\na: 2\n', "a: 1\n'a': 2\n", "l: [{x: 1, x: 1}]"])
def test_duplicates_are_found_in_flow_quoted_and_in_lists(text: str) -> None:
    assert "is given twice" in refusal(text)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a:\n\tb: 1\n", 2, "a tab in the indentation"),
        ("a: b: c\n", 1, "not YAML: mapping values are not allowed"),
        ("a: 1\nb: [1\n", 3, "not YAML"),
        ('a: "unclosed\n', 2, "unexpected end of stream"),
        ("x: 1\na: \x07\n", 2, "not allowed in YAML"),
        ("- a\n", 1, "a list at the top"),
        ("only words\n", 1, "a single value at the top"),
        ("on: 1\n", 1, "'on' is read as the bool true: put it in quotes"),
        ("a: 1\n8080: x\n", 2, "'8080' is read as the int 8080"),
        ("~: x\n", 1, "'~' is read as null"),
        ("? [a]\n: 1\n", 1, "must be text"),
        ("a: *nobody\n", 1, "undefined alias"),
        ("a: &a [*a]\n", 1, "refers to the value it stands in"),
        ("a: !!python/object/apply:os.system [id]\n", 1, "!!python/object/apply:os.system is not allowed"),
        ("a: !Ref x\n", 1, "the tag !Ref is not allowed"),
        ("a: !!int twelve\n", 1, "'twelve' is not what its tag says"),
        ("a: .nan\n", 1, "no meaning in values"),
        ("a: 9007199254740993\n", 1, "helm would round"),
        ("a: 1" + "0" * 5000 + "\n", 1, "helm would round"),
        ("a: 1e999\n", 1, "helm would round"),
        ("<<: 3\n", 1, "needs a mapping"),
    ],
)
def test_refused_with_file_line_and_reason(text: str, line: int, reason: str) -> None:
    message = refusal(text)
    assert message.startswith(f"values.yaml:{line}: ")
    assert reason in message


def test_a_second_document_is_refused_not_dropped() -> None:
    assert "2 YAML documents" in refusal("a: 1\n---\nb: 2\n")


def test_alias_bomb_and_deep_nesting_are_refused() -> None:
    bomb = "x0: &x0 [a,a,a,a,a,a,a,a,a,a]\n" + "".join(
        f"x{n}: &x{n} [{','.join([f'*x{n - 1}'] * 10)}]\n" for n in range(1, 30)
    )
    assert "aliases are written out" in refusal(bomb)
    chain = "x0: &x0 [a]\n" + "".join(f"x{n}: &x{n} [*x{n - 1}]\n" for n in range(1, 3000))
    assert "aliases are written out" in refusal(chain)
    assert "nested deeper" in refusal("a: " + "[" * 100_000)
    assert "nested deeper" in refusal("\n".join(" " * n + "k:" for n in range(100)))


def test_ordinary_aliases_and_merge_keys_work() -> None:
    text = "base: &b {p: 1, q: 2}\nother: &o {q: 5, r: 6}\none: {<<: *b, q: 3}\nboth: {<<: [*b, *o]}\n"
    values = yaml_strict.load_text(text, "values.yaml")
    assert values["one"] == {"p": 1, "q": 3}
    assert values["both"] == {"p": 1, "q": 2, "r": 6}


@pytest.mark.parametrize("text", ["", "\n# only a comment\n", "---\n", "null\n", "\ufeff"])
def test_an_empty_file_is_an_empty_mapping(text: str, tmp_path: Path) -> None:
    path = tmp_path / "values.yaml"
    path.write_text(text)
    assert yaml_strict.load_file(path) == {}


def test_scalars_mean_what_helm_takes_them_for() -> None:
    text = "a: 1e3\nb: 0644\nc: 1:30\nd: 2024-01-02\ne: yes\nf: 1_000\ng: 0x1F\nh: '1'\n"
    text += "i: !!str 5\nj: .5\nk: 089\nl: -0b11\n"
    values = yaml_strict.load_text(text, "values.yaml")
    assert values == {
        "a": 1000.0, "b": 420, "c": "1:30", "d": "2024-01-02", "e": True, "f": 1000,
        "g": 31, "h": "1", "i": "5", "j": 0.5, "k": 89, "l": -3,
    }  # fmt: skip


def test_lines_of_every_key_and_item() -> None:
    document = yaml_strict.parse("a: 1\nb:\n  c:\n    - x\n    - w: 2\n", "values.yaml")
    assert document.lines == {("a",): 1, ("b",): 2, ("b", "c"): 3, ("b", "c", 0): 4, ("b", "c", 1): 5,
                              ("b", "c", 1, "w"): 5}  # fmt: skip


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.yaml: no such file"):
        yaml_strict.load_file(tmp_path / "nowhere.yaml")
    with pytest.raises(InputError, match="is a directory"):
        yaml_strict.load_file(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"a: 1\nb: \xe4\n")
    with pytest.raises(InputError, match=r"latin.yaml:2: not UTF-8 text \(byte 0xe4\)"):
        yaml_strict.load_file(tmp_path / "latin.yaml")
    (tmp_path / "huge.yaml").write_bytes(b"# " + b"x" * yaml_strict.MAX_VALUES_BYTES)
    with pytest.raises(InputError, match="larger than"):
        yaml_strict.load_file(tmp_path / "huge.yaml")
    with pytest.raises(InputError, match="cannot be read"):
        yaml_strict.load_file(tmp_path / "nul\0.yaml")


def test_streams_leave_out_empty_documents() -> None:
    assert yaml_strict.load_all_text("---\n# Source: x\n---\na: 1\n---\nb: 2\n", "render") == [{"a": 1}, {"b": 2}]
    with pytest.raises(InputError, match="render:4: key 'a' is given twice"):
        yaml_strict.load_all_text("x: 1\n---\na: 1\na: 2\n", "render")


@pytest.mark.parametrize(
    ("text", "value"), [("5", 5), ("", None), ("null", None), ("a b", "a b"), ("[1, {a: 2}]", [1, {"a": 2}])]
)
def test_a_single_value(text: str, value: object) -> None:
    assert yaml_strict.load_scalar(text, "--set a") == value


keys = st.text(st.characters(codec="ascii", categories=["L"]), min_size=1, max_size=6).map(lambda text: f"k{text}")
printable = st.characters(exclude_categories=["Cc", "Cs", "Cn"])
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(printable, max_size=12)
trees = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4))


@given(st.dictionaries(keys, trees, max_size=5))
def test_whatever_json_says_is_read_back(data: dict[str, object]) -> None:
    assert yaml_strict.load_text(json.dumps(data, ensure_ascii=False), "values.yaml") == data


WORDS = "~ null y NO on True 1e3 0644 0o7 1_0 1:30 2024-01-02 = << .inf # { % @ *x &x !x ' \""
SPACED = ["", "- a", "a: b", " lead", "trail ", "a\n", "a\nb", "\n", " \na", "a\t", "\u2028", "\x7f", "a #b"]
tricky = st.sampled_from([*WORDS.split(), *SPACED])
documents = st.dictionaries(
    tricky | keys, st.recursive(scalars | tricky, lambda i: st.lists(i, max_size=3)), max_size=4
)


@given(st.lists(documents, min_size=1, max_size=3))
def test_what_is_dumped_is_read_back(data: list[dict[str, object]]) -> None:
    assert yaml_strict.load_all_text(yaml_strict.dump_all(data), "dump") == data


def test_long_text_is_dumped_as_a_block() -> None:
    text = yaml_strict.dump_all([{"data": {"a.py": "import os\n\nx = 1\n"}}])
    assert text == "---\ndata:\n  a.py: |\n    import os\n\n    x = 1\n"


@given(st.text(max_size=200))
def test_any_text_gives_a_mapping_or_an_input_error(text: str) -> None:
    outcome = outcome_of(text)
    assert isinstance(outcome, dict) or outcome.startswith("values.yaml")


def outcome_of(text: str) -> dict[str, object] | str:
    try:
        return yaml_strict.load_text(text, "values.yaml")
    except InputError as error:
        return str(error)

"""What helm prints, turned into problems: texts as helm 3.22 and 4.3 print them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.chart import render, values
from harness.chart.problems import Problem

SCHEMA_TEXT = """Error: values don't meet the specifications of the schema(s) in the following chart(s):
celery-workers:
- at '/workers/io/pool': value must be one of 'prefork', 'gevent'
- at '/routes/0/a~1b': got string, want integer
- at '': additional properties 'q' not allowed

"""
FAIL_TEXT = """Error: execution error at (celery-workers/templates/workers/configmap.yaml:1:14): 

the values cannot work, 2 problems:
  - workers.io.timeLimits.soft: a gevent pool has no soft limit; remove it; or use pool prefork
  - routes[0].queue: no class has a queue "zz"

Use --debug flag to render out invalid YAML
"""  # noqa: W291


@pytest.fixture
def read(tmp_path: Path) -> values.Values:
    (tmp_path / "values.yaml").write_text("")
    mine = tmp_path / "mine.yaml"
    mine.write_text("workers:\n  io:\n    pool: x\n    timeLimits: {soft: 5m}\nroutes:\n  - queue: zz\n")
    return values.read([mine], chart=tmp_path)


def explain(text: str, read: values.Values, tmp_path: Path) -> list[Problem]:
    return render.explain(text, read, chart=tmp_path)


def test_schema_errors_become_one_problem_a_key(read: values.Values, tmp_path: Path) -> None:
    found = explain(SCHEMA_TEXT, read, tmp_path)
    assert [problem.path for problem in found] == ["workers.io.pool", 'routes[0]["a/b"]', ""]
    assert found[0].message == "value must be one of 'prefork', 'gevent'"
    assert found[0].source == f"{tmp_path}/mine.yaml:3"


def test_the_charts_own_list_becomes_one_problem_an_item(read: values.Values, tmp_path: Path) -> None:
    soft, queue = explain(FAIL_TEXT, read, tmp_path)
    assert (soft.path, soft.rule) == ("workers.io.timeLimits.soft", "chart-rules")
    assert soft.text() == (
        f"workers.io.timeLimits.soft ({tmp_path}/mine.yaml:4): a gevent pool has no soft limit; remove it; "
        "or use pool prefork"
    )
    assert (queue.path, queue.fix, queue.source) == ("routes[0].queue", "", f"{tmp_path}/mine.yaml:6")


def test_a_key_in_quotes_has_a_source_too(tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text("")
    mine = tmp_path / "mine.yaml"
    mine.write_text("files:\n  other: x\n  a.json: '{'\n")
    text = FAIL_TEXT.partition("  -")[0] + '  - files["a.json"]: is no JSON object; mend it\n'
    (problem,) = explain(text, values.read([mine], chart=tmp_path), tmp_path)
    assert problem.text() == f'files["a.json"] ({mine}:3): is no JSON object; mend it'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Error: execution error at (c/templates/x.yaml:1:3): only words here\n\n"
         "Use --debug flag to render out invalid YAML\n", "only words here"),
        ("Error: template: c/templates/x.yaml:3:5: executing\n at <.Values.a.b>: nil pointer\n",
         "template: c/templates/x.yaml:3:5: executing at <.Values.a.b>: nil pointer"),
        ("", "helm failed without a message"),
    ],
)  # fmt: skip
def test_anything_else_is_one_readable_problem(read: values.Values, tmp_path: Path, text: str, message: str) -> None:
    assert [problem.text() for problem in explain(text, read, tmp_path)] == [message]


def test_refusal_lists_every_problem_under_the_files(read: values.Values, tmp_path: Path) -> None:
    error = render.refusal(explain(FAIL_TEXT, read, tmp_path), read)
    lines = str(error).splitlines()
    assert lines[0] == f"the chart refuses these values ({tmp_path}/mine.yaml), 2 problems:"
    assert len(lines) == 3
    assert len(error.problems) == 2

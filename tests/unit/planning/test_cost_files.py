"""Price files, and prices of values and runs."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from harness.chart import render
from harness.chart.values import environment_files as render_files
from harness.cli.cost import command
from harness.errors import InputError
from harness.planning.cost_files import load_prices, node_of
from harness.planning.tail import tail
from harness.spike import scalers
from harness.spike.result import write
from tests.unit.simulation.fluid_plants import scaler
from tests.unit.spike_report.scenes import campaign

PRICES = """\
name: ours
source: our contract
currency: EUR
cpu_core_hour: 0.03
memory_gib_hour: 0.004
"""


def test_the_examples_say_what_they_are():
    prices = load_prices()
    assert "example" in prices.source
    assert prices.cpu_core_hour > 0


def test_own_prices_are_read(tmp_path):
    path = tmp_path / "prices.yaml"
    path.write_text(PRICES)
    prices = load_prices(path)
    assert (prices.currency, prices.cpu_core_hour, prices.memory_gib_hour) == ("EUR", 0.03, 0.004)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PRICES.replace("0.03", "cheap"), r"prices\.yaml:4: cpu_core_hour: is 'cheap', expected a number"),
        (PRICES.replace("0.004", "-1"), r"prices\.yaml:5: memory_gib_hour: is -1, must be at least 0"),
        (PRICES.replace("currency: EUR\n", ""), r"prices\.yaml: 'currency' is missing"),
        (PRICES + "cpu_core_hours: 1\n", r"prices\.yaml:6: cpu_core_hours: unknown key"),
        (PRICES.replace("0.03", "0").replace("0.004", "0"), "nothing costs anything"),
    ],
)
def test_a_wrong_price_file_is_refused_with_line_and_key(tmp_path, text, message):
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_prices(path)


@pytest.mark.parametrize("text", ["4", "4,16,x", "0,16,0.1"])
def test_a_node_is_three_numbers(text):
    with pytest.raises(InputError, match=r"--node .* as in 4,16,0\.19"):
        node_of(text)


def test_replicas_go_by_the_rules_once_nothing_is_left():
    spec = scaler(low=1, high=9).hpa  # 60 s wait, then one pod a minute
    steps = tail(spec, 4)
    assert steps.values == (4.0, 3.0, 2.0, 1.0)
    assert steps.seconds == (0.0, 60.0, 120.0, 180.0)
    assert tail(replace(spec, min_replicas=2), 2).values == (2.0,)


def run(*arguments: str):
    return CliRunner().invoke(command, list(arguments), catch_exceptions=False)


def test_the_old_way_beside_the_new_one():
    done = run("email-slow", "--compare", "baseline", "prod,keda", "--json", "--volume", "123456")
    assert done.exit_code == 0
    document = json.loads(done.output)
    old, new = document["sets"]
    assert [one["name"] for one in document["sets"]] == ["baseline", "prod,keda"]
    assert old["offered"] == new["offered"] == 10_000
    idle = {one["name"]: sum(each["idle_month"] for each in one["classes"]) for one in document["sets"]}
    assert idle["baseline"] == pytest.approx(730 * 4 * (0.04 + 16 * 0.0045))
    assert [month["volume"] for month in new["months"]].count(123_456) == 1
    assert document["savings"][0]["share"] == pytest.approx(1 - idle["prod,keda"] / idle["baseline"])
    for one in document["sets"]:
        assert sum(task["cycle"] for task in one["tasks"]) <= sum(each["cycle"] for each in one["classes"]) + 1e-9


def test_nodes_billed_whole_cost_more_than_requests(tmp_path):
    (tmp_path / "prices.yaml").write_text(PRICES)
    own = ("--prices", str(tmp_path / "prices.yaml"), "--node", "4,16,0.2")
    document = json.loads(run("email-slow", "--env", "prod,keda", *own, "--json").output)
    node_month, requests = document["sets"][0]["months"][0]["cost"], document["sets"][0]["classes"]
    assert node_month == pytest.approx(730 * 0.2)
    assert node_month > sum(each["idle_month"] for each in requests)


def test_a_run_is_priced_by_the_replicas_it_had(tmp_path):
    write(campaign(), tmp_path / "one")
    document = json.loads(run("--run", "one", "--reports", str(tmp_path), "--json").output)
    (priced,) = document["sets"]
    assert (priced["name"], priced["offered"]) == ("one", campaign().counts.offered)
    assert sum(each["cycle"] for each in priced["classes"]) > 0


def test_a_run_is_priced_by_its_own_autoscalers_wherever_its_values_have_gone(tmp_path):
    made = replace(campaign(), setup={**campaign().setup, "values_files": ["values/prod.yaml", "elsewhere.yaml"]})
    write(made, tmp_path / "one")
    with pytest.raises(InputError, match=r"kept no scalers\.json, and .*elsewhere\.yaml is gone.*; run it again"):
        run("--run", "one", "--reports", str(tmp_path))
    rendered = render.render(render_files("prod,keda"))
    scalers.write(rendered, tmp_path / "one")
    (priced,) = json.loads(run("--run", "one", "--reports", str(tmp_path), "--json").output)["sets"]
    write(campaign(), tmp_path / "two")  # of a version that kept none, on values that are there
    (by_values,) = json.loads(run("--run", "two", "--reports", str(tmp_path), "--json").output)["sets"]
    assert priced["classes"] == by_values["classes"]


def test_what_is_no_list_of_autoscalers_is_refused(tmp_path):
    write(campaign(), tmp_path / "one")
    for text in ("{", '{"kind": "ScaledObject"}'):
        (tmp_path / "one" / scalers.FILE_NAME).write_text(text)
        with pytest.raises(InputError, match=r"scalers\.json: .*; run the scenario again"):
            run("--run", "one", "--reports", str(tmp_path))


def test_a_run_is_priced_alone():
    with pytest.raises(InputError, match="--run prices a run as it was"):
        run("email-slow", "--run", "latest")

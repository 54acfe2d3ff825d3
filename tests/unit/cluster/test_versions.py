"""images/versions.yaml is the one place versions stand in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.chart import values as chart_values
from harness.cluster import programs
from harness.cluster.versions import ROOT, parse, versions
from harness.errors import InputError
from harness.tools import pinned_version


@pytest.mark.parametrize(
    "tool", [tool for tool in programs.ALL if tool is not programs.PAUSE], ids=lambda tool: tool.name
)
def test_go_pins_name_the_versions_of_the_file(tool):
    assert pinned_version(tool) == f"v{programs.pins(versions())[tool.name]}"


def test_the_autoscaler_is_compared_with_the_same_kubernetes():
    oracle = (ROOT / "tools" / "hpa-oracle" / "go.mod").read_text()
    assert re.search(r"k8s\.io/kubernetes (v\S+)", oracle)[1] == f"v{versions().kubernetes}"


def test_public_images_take_their_versions_from_the_file():
    images = versions().public_images
    assert images["keda-operator"].endswith(f":{versions().keda}")
    assert images["metrics-server"].endswith(f":v{versions().metrics_server}")
    assert not any("{" in image for image in images.values())


def test_the_chart_embeds_the_same_rabbitmq():
    image = chart_values.load_values([])["broker"]["embedded"]["image"]
    assert f"{image['repository']}:{image['tag']}" == versions().public_images["rabbitmq"]


def test_the_node_image_has_the_minor_version_that_is_built():
    assert f":v{versions().kubernetes.rsplit('.', 1)[0]}." in versions().node_image
    assert "@sha256:" in versions().node_image


def test_missing_key_is_named():
    with pytest.raises(InputError, match="etcd"):
        parse({"kubernetes": "1"})


def test_no_committed_file_of_the_images_names_a_package_registry():
    hosts = re.compile(rb"proxy\.golang\.org|pypi\.org|deb\.debian\.org|registry\.npmjs")
    folders = [ROOT / "images", *(ROOT / "tools" / tool.name for tool in programs.ALL)]
    named = [
        path for folder in folders for path in folder.rglob("*") if path.is_file() and hosts.search(path.read_bytes())
    ]
    assert named == list[Path]()

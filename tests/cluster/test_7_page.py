""" "Your app in ten minutes", typed as it stands there."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from harness import tools
from harness.chart.values import CHART
from tests.cluster.apps import documented, images
from tests.cluster.space import Space

pytestmark = pytest.mark.full

COMMAND_SECONDS = 240


def a_terminal(space: Space, directory: Path) -> dict[str, str]:
    """Return the environment of somebody who has helm and kubectl, and works in the namespace."""
    programs, kubeconfig = directory / "bin", directory / "kubeconfig"
    programs.mkdir()
    (programs / "kubectl").symlink_to(space.kubectl.program)
    (programs / "helm").symlink_to(tools.find_helm(4))
    shutil.copyfile(space.kubectl.kubeconfig, kubeconfig)
    kubeconfig.chmod(0o600)
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(directory), "KUBECONFIG": str(kubeconfig)}
    command = ["kubectl", "config", "set-context", "--current", f"--namespace={space.name}"]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=30)
    return environment


@pytest.mark.timeout(600)
def test_the_pages_commands_work(space: Space, tmp_path: Path) -> None:
    if not space.place.is_own_kind:
        pytest.skip("the application's image is built for our kind cluster only")
    images.load(space.place, images.PARCELS)
    environment = a_terminal(space, tmp_path)
    documented.values_file(tmp_path)
    (tmp_path / "charts").symlink_to(CHART.parent)
    started, said = time.monotonic(), []
    for command in documented.commands():
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True,
            timeout=COMMAND_SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        said.append(done.stdout)
    print(f"the page's commands took {time.monotonic() - started:.0f} s")
    text = "\n".join(said)
    assert "release parcels works: 2 queues; workers that answered: asking 1, printing 1" in text
    assert "'name': 'tracking'" in text
    assert "tracking.ask" in said[-1]

"""Volumes as directories."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import InputError
from harness.runtime.local.environment import Identity, Sources
from harness.runtime.local.volumes import materialise, path_map, volume_files

SOURCES = Sources(
    config_maps={"config": {"a.py": b"a", "b.json": b"{}"}},
    secrets={"keys": {"token": b"s3"}},
)
POD = Identity("pod-1", "default", "u", labels={"app": "x"})


def files(volume: dict[str, Any]) -> dict[str, bytes]:
    return volume_files({"name": "v", **volume}, sources=SOURCES, identity=POD, where="Deployment d")


def test_a_config_map_is_its_files() -> None:
    assert files({"configMap": {"name": "config"}}) == {"a.py": b"a", "b.json": b"{}"}


def test_items_choose_and_rename() -> None:
    volume = {"configMap": {"name": "config", "items": [{"key": "a.py", "path": "sub/other.py"}]}}
    assert files(volume) == {"sub/other.py": b"a"}


def test_secret_empty_dir_downward_api_and_projection() -> None:
    name = {"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}
    assert files({"secret": {"secretName": "keys"}}) == {"token": b"s3"}
    assert files({"emptyDir": {"medium": "Memory"}}) == {}
    assert files({"emptyDir": None}) == {}
    assert files({"downwardAPI": {"items": [name]}}) == {"name": b"pod-1"}
    projected = {"projected": {"sources": [{"secret": {"name": "keys"}}, {"downwardAPI": {"items": [name]}}]}}
    assert files(projected) == {"token": b"s3", "name": b"pod-1"}


def test_an_optional_source_may_be_absent() -> None:
    assert files({"configMap": {"name": "none", "optional": True}}) == {}
    assert files({"configMap": {"name": "config", "optional": True, "items": [{"key": "no", "path": "x"}]}}) == {}


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        ({"persistentVolumeClaim": {"claimName": "c"}}, "persistentVolumeClaim"),
        ({"hostPath": {"path": "/"}}, "hostPath"),
        ({"configMap": {"name": "none"}}, "ConfigMap none is not there"),
        ({"secret": {"secretName": "none"}}, "Secret none is not there"),
        ({"configMap": {"name": "config", "items": [{"key": "no", "path": "x"}]}}, "keys that are not there: no"),
        ({"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}, "serviceAccountToken"),
        ({"downwardAPI": {"items": [{"path": "m", "resourceFieldRef": {}}]}}, "knows fieldRef only"),
    ],
)
def test_what_cannot_be_offered_is_refused(volume: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        files(volume)
    assert message in str(caught.value)
    assert "Deployment d: volume v" in str(caught.value)


def test_files_are_written_and_mount_paths_lead_to_them(tmp_path: Path) -> None:
    directories = materialise({"v": {"sub/x": b"1"}, "empty": {}}, tmp_path)
    assert (directories["v"] / "sub/x").read_bytes() == b"1"
    mounts = [
        {"name": "v", "mountPath": "/etc/v/"},
        {"name": "v", "mountPath": "/opt/x", "subPath": "sub/x"},
        {"name": "empty", "mountPath": "/var/new", "subPath": "made"},
    ]
    paths = path_map({"volumeMounts": mounts}, directories, where="c")
    assert paths.rewrite("/etc/v/sub/x /opt/x") == f"{tmp_path}/v/sub/x {tmp_path}/v/sub/x"
    assert Path(paths.rewrite("/var/new")).is_dir()


@pytest.mark.parametrize(
    ("mount", "message"),
    [({"name": "no", "mountPath": "/x"}, "names no"), ({"name": "v", "mountPath": "/"}, "cannot mount at '/'")],
)
def test_bad_mounts_are_refused(tmp_path: Path, mount: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match="container c") as caught:
        path_map({"volumeMounts": [mount]}, {"v": tmp_path}, where="container c")
    assert message in str(caught.value)

"""Emergency commands on a cluster: what they set holds, and ends without them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.ops import objects
from tests.cluster.space import RELEASE, Space, eventually, is_ready

pytestmark = pytest.mark.full

COMMAND_SECONDS = 60.0
IO, MIXED = "celery-io-worker", "celery-mixed-worker"
# The kubelet brings a ConfigMap into pods within a minute; the workers look at it each two seconds.
CONFIG_MAP_SECONDS = 120.0
TASK = "check_db_connections"


@pytest.fixture
def ops(release: Space) -> Callable[..., Any]:
    """`harness ops` on the release tests share; returns what --json prints."""

    def run(*arguments: str, code: int = 0) -> Any:
        command = [
            sys.executable, "-m", "harness", "ops", *arguments,
            "--runtime", "cluster", "--release", RELEASE, "--namespace", release.name, "--json",
        ]  # fmt: skip
        environment = {**os.environ, "KUBECONFIG": str(release.kubectl.kubeconfig)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=COMMAND_SECONDS)
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return json.loads(done.stdout) if done.stdout else done.stderr

    return run


def floor(release: Space) -> tuple[int, int]:
    spec = release.get("scaledobject", IO)["spec"]
    return spec["minReplicaCount"], spec["maxReplicaCount"]


@pytest.mark.timeout(300)
def test_a_floor_holds_and_a_job_puts_it_back(release: Space, ops: Callable[..., Any]) -> None:
    before = floor(release)
    wanted = before[0] + 1
    override = ops("scale", "io", str(wanted), "--for", "45s")["override"]
    assert floor(release) == (wanted, before[1])
    eventually(lambda: len(release.workers("io")) >= wanted, seconds=40, what=f"{wanted} pods of io")
    (line,) = ops("status")["overrides"]
    assert line["id"] == override["id"]
    eventually(lambda: floor(release) == before, seconds=90, what="the floor put back by the Job")
    assert ops("log")[-1]["by"].startswith(f"job celery-ops-{override['id']}")
    assert ops("status")["overrides"] == []
    release.wait_for("Complete", f"job/celery-ops-{override['id']}", seconds=30)
    annotations = release.get("scaledobject", IO)["metadata"].get("annotations") or {}
    assert not [name for name in annotations if name.startswith(objects.MARK)]


@pytest.mark.timeout(300)
def test_the_job_may_patch_what_it_puts_back_and_read_no_secret(release: Space, ops: Callable[..., Any]) -> None:
    override = ops("scale", "io", str(floor(release)[0] + 1), "--for", "1h")["override"]
    try:
        account = f"system:serviceaccount:{release.name}:celery-ops-{override['id']}"

        def may(*what: str) -> bool:
            command = ["auth", "can-i", *what, "--as", account, "-n", release.name]
            try:
                return release.kubectl.run(*command, doing="asking for rights").strip() == "yes"
            except Exception:  # kubectl ends with 1 for a no
                return False

        assert may("patch", f"scaledobjects.keda.sh/{IO}")
        assert not may("patch", f"scaledobjects.keda.sh/{MIXED}")
        assert not may("get", "secrets")
        assert not may("patch", f"deployments.apps/{IO}")
    finally:
        ops("undo", override["id"])
    release.wait_for("Complete", f"job/celery-ops-{override['id']}", seconds=90)


@pytest.mark.timeout(600)
def test_a_paused_queue_rests_also_for_pods_that_start_later(release: Space, ops: Callable[..., Any]) -> None:
    ops("pause", "mixed")
    try:
        assert release.get("scaledobject", MIXED)["metadata"]["annotations"][objects.KEDA_PAUSED] == "true"
        (pod, *_) = release.workers("mixed")
        release.delete_pods(pod["metadata"]["name"])

        def another_ready() -> bool:
            pods = release.workers("mixed")
            return bool(pods) and all(
                is_ready(one) and one["metadata"]["uid"] != pod["metadata"]["uid"] for one in pods
            )

        eventually(another_ready, seconds=120, what="a ready pod in place of the deleted one")
        ids = release.publish({TASK: 5})

        def rests() -> bool:
            (queue,) = [one for one in ops("status")["queues"] if one["name"] == "mixed"]
            return (queue["paused"], queue["consumers"], queue["ready"]) == (True, 0, len(ids))

        eventually(rests, seconds=60, what="tasks that wait in a queue nobody takes from")
    finally:
        ops("resume", "mixed")
    release.require_done(ids, seconds=CONFIG_MAP_SECONDS, what="after the pause")
    assert objects.KEDA_PAUSED not in (release.get("scaledobject", MIXED)["metadata"].get("annotations") or {})
    release.settled()


@pytest.mark.timeout(300)
def test_what_somebody_changes_meanwhile_stays(release: Space, ops: Callable[..., Any]) -> None:
    before = floor(release)
    override = ops("scale", "io", str(before[0] + 1))["override"]
    release.kubectl.run(
        "patch", "scaledobject", IO, "-n", release.name, "--type=merge",
        "--patch", json.dumps({"spec": {"maxReplicaCount": before[1] + 1}}), doing="changing the maximum by hand",
    )  # fmt: skip
    try:
        (undone,) = ops("undo", override["id"], code=1)["undone"]
        assert [step["outcome"] for step in undone["steps"]] == ["changed"]
        assert floor(release) == (before[0] + 1, before[1] + 1)
    finally:
        change = {"spec": {"minReplicaCount": before[0], "maxReplicaCount": before[1]}}
        release.kubectl.run(
            "patch", "scaledobject", IO, "-n", release.name, "--type=merge", "--patch", json.dumps(change),
            doing="putting it back by hand",
        )  # fmt: skip
    release.settled()


@pytest.mark.timeout(300)
def test_dead_letters_are_looked_at_put_back_and_taken_out(
    release: Space, ops: Callable[..., Any], tmp_path: Path
) -> None:
    ids = set(release.publish({TASK: 3}, checks="three"))  # no number: they fail, now and whenever they come again
    journal, kept = tmp_path / "replayed.jsonl", tmp_path / "purged.jsonl"

    def dead() -> dict[str, dict[str, Any]]:
        shown = ops("dlq", "show", "mixed", "--ids", ",".join(ids))
        return {letter["id"]: letter for letter in shown}

    def all_died(times_before: int) -> bool:
        letters = dead()
        return letters.keys() == ids and all(one["replays"] == times_before for one in letters.values())

    eventually(lambda: all_died(0), seconds=60, what="three dead letters")
    assert {(one["queue"], one["reason"]) for one in dead().values()} == {("mixed", "failed")}
    (row,) = [row for row in ops("dlq", "list", "mixed") if row["reason"] == "failed" and row["task"].endswith(TASK)]
    assert (row["queue"], row["count"]) == ("mixed.dead", 3)

    chosen = ("mixed", "--ids", ",".join(ids))
    assert set(ops("dlq", "replay", *chosen, "--journal", str(journal), "--dry-run")["replayed"]) == ids
    assert all_died(0)
    told = ops("dlq", "replay", *chosen, "--journal", str(journal), "--rate", "5/s")
    assert (set(told["replayed"]), told["in_doubt"], told["refused"]) == (ids, [], "")
    eventually(lambda: all_died(1), seconds=60, what="the same letters after another life")

    assert "--yes" in ops("dlq", "purge", *chosen, code=2)
    assert ops("dlq", "purge", *chosen, "--yes", "--file", str(kept))["removed"] == 3
    assert dead() == {}
    assert len(kept.read_text().splitlines()) == 3
    assert [line["action"] for line in ops("log")][-2:] == ["dlq replay", "dlq purge"]

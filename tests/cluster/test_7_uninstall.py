"""A user removes the release."""

from __future__ import annotations

from typing import Any

import pytest

from examx.catalogue import TASKS
from harness.errors import HarnessError
from tests.cluster import topology
from tests.cluster.conftest import Standing
from tests.cluster.space import CLASSES, RELEASE, Space, eventually
from tests.cluster.topology import EXCHANGE

KINDS = "all,configmaps,secrets,serviceaccounts,pdb,networkpolicies,scaledobjects,triggerauthentications,hpa"
DELETING = {"broker": {"topologyJob": {"deleteOnUninstall": True}}}


def require_routed(space: Space, rendered: dict[str, Any]) -> None:
    """Every route of the values leads to its queue, with its priority: seen where no worker takes the tasks away."""
    routes = {route["task"]: {"queue": route["queue"], "priority": route["priority"]} for route in rendered["routes"]}
    assert routes.keys() == TASKS.keys()
    asked = {"tasks": sorted(routes), "queues": sorted(rendered["queues"])}
    assert space.ask("routed", asked, seconds=120) == routes


def nothing_left(space: Space) -> bool:
    """Return whether nothing of the release is left. Raises HarnessError with what is and what its pods said last."""
    mine = f"app.kubernetes.io/instance={RELEASE}"
    names = space.names(KINDS, mine)
    if not names:
        return True
    said = [
        space.kubectl.run("logs", pod, "-n", space.name, "--tail=8", doing=f"reading the log of {pod}")
        for pod in space.names("pods", mine)
    ]
    raise HarnessError("\n".join([f"left: {', '.join(names)}", *said]))


@pytest.mark.timeout(400)
def test_uninstalling_leaves_the_queues_with_what_they_hold_and_nothing_else(
    release: Space, standing: Standing
) -> None:
    rendered = topology.rendered(release)
    try:
        release.helm("uninstall", RELEASE, "--wait", "--timeout", "120s")
        # Far less than the workers' grace of minutes.
        eventually(lambda: nothing_left(release), seconds=60, what="idle workers' end")
        ids = release.publish({"forgot_password_mail": 3})  # the queues are there, nobody takes from them
        with release.management() as api:
            depths, policies, exchanges = api.depths(), api.policies(), api.exchanges()
        assert {"io", "cpu", "mixed"} <= depths.keys()
        assert depths["io"].ready == len(ids)
        assert policies.keys() == {f"{RELEASE}-{name}" for name in CLASSES}
        assert {EXCHANGE, f"{EXCHANGE}.dlx"} <= exchanges.keys()
        require_routed(release, rendered)
    finally:
        standing.discard()


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("dead_letters", [0, 1])
def test_uninstalling_takes_empty_queues_along_where_the_values_say_so(space: Space, dead_letters: int) -> None:
    space.fixtures()
    space.install("prod,kind", values=DELETING)
    space.require_done(space.publish({"forgot_password_mail": 3}), seconds=60, what="tasks of the release")
    space.ask("bury", {"queue": "io.dead", "count": dead_letters})
    if dead_letters:
        with pytest.raises(AssertionError, match=r"post-delete|celery-delete-queues"):
            space.helm("uninstall", RELEASE, "--wait", "--timeout", "280s")
        log = space.kubectl.run("logs", "job/celery-delete-queues", "-n", space.name, doing="reading the Job's log")
        assert "queue 'io.dead' stays" in log
    else:
        space.helm("uninstall", RELEASE, "--wait", "--timeout", "280s")
        eventually(lambda: nothing_left(space), seconds=60, what="the end of all objects")
    with space.management() as api:

        def left() -> set[str]:
            return {one["name"] for one in api.queue_documents() if not one["exclusive"]}

        # The workers' control queues go by themselves, ten seconds after their workers.
        wanted = {"io.dead"} if dead_letters else set()
        eventually(lambda: left() == wanted, seconds=30, what=f"{wanted or 'nothing'} to be what is left")
        assert api.policies() == {}
        assert (EXCHANGE in api.exchanges()) is bool(dead_letters)

"""A user removes the release."""

from __future__ import annotations

import pytest

from tests.cluster.conftest import Standing
from tests.cluster.space import RELEASE, Space, eventually

KINDS = "all,configmaps,secrets,serviceaccounts,pdb,networkpolicies,scaledobjects,triggerauthentications,hpa"


@pytest.mark.timeout(400)
def test_uninstalling_leaves_the_queues_with_what_they_hold_and_nothing_else(
    release: Space, standing: Standing
) -> None:
    try:
        release.helm("uninstall", RELEASE, "--wait", "--timeout", "120s")

        def nothing_left() -> bool:
            return not release.names(KINDS, f"app.kubernetes.io/instance={RELEASE}")

        eventually(nothing_left, seconds=60, what="idle workers' end")  # far less than their grace of minutes
        ids = release.publish({"forgot_password_mail": 3})  # the queues are there, nobody takes from them
        with release.management() as api:
            depths = api.depths()
        assert {"io", "cpu", "mixed"} <= depths.keys()
        assert depths["io"].ready == len(ids)
    finally:
        standing.discard()

"""io is scaled by KEDA on its queue, cpu by Kubernetes on CPU; the harness foretells what the controller did."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from harness import tools
from harness.autoscaling.spec import HpaSpec
from harness.chart import yaml_strict
from harness.cluster.api import Api
from tests.cluster.place import Place
from tests.cluster.recorder import Watch, recording
from tests.cluster.space import Space, eventually
from tests.cluster.syncs import controllers, disagreement, foretold

SHORT_DELAYS = Path(__file__).parent / "values" / "short-delays.yaml"
RECORDING = tools.cache_home() / "e2e" / "scaling.json"
# Work for more pods than there may be, until they are there; what waits then is taken away, so that the way down begins
# at once on fast and slow machines.
MAILS, MAIL_SECONDS = 3500, 5.0
UPLOADS, ROWS = 600, 1000
MOST = {"io": 5, "cpu": 3}
RISE_SECONDS, FALL_SECONDS = 150.0, 180.0


@pytest.fixture
def watches(place: Place, space: Space) -> Iterator[tuple[Watch, Watch]]:
    """Of a release with short delays: io's autoscaler and cpu's."""
    space.fixtures({"smtp": {"latency_seconds": MAIL_SECONDS}})
    space.install("prod,keda,kind", values=yaml_strict.load_file(SHORT_DELAYS))
    with contextlib.closing(Api(place.kubectl.kubeconfig)) as api:
        yield (
            Watch(api, space.name, "keda-hpa-celery-io-worker", "celery-io-worker", "io"),
            Watch(api, space.name, "celery-cpu-worker", "celery-cpu-worker", "cpu"),
        )


@pytest.mark.timeout(600)
def test_up_to_the_maximum_and_back_as_the_arithmetic_says(space: Space, watches: tuple[Watch, Watch]) -> None:
    specs = {watch.class_name: HpaSpec.from_manifest(watch.manifest()) for watch in watches}
    try:
        with recording(watches):
            for watch in watches:
                eventually(watch.status_writes, seconds=90, what=f"a sync of {watch.hpa}")
            space.publish({"bulk_upload_questions_task": UPLOADS}, rows=ROWS)
            space.publish({"forgot_password_mail": MAILS})
            for watch in watches:
                _reach(watch, MOST[watch.class_name], seconds=RISE_SECONDS)
                space.ask("purge", {"queue": watch.class_name})
            for watch in watches:
                _reach(watch, 1, seconds=FALL_SECONDS)
    finally:
        _keep(watches)
    for watch in watches:
        assert not watch.errors[3:], watch.errors
        _require_as_foretold(watch, specs[watch.class_name])


def _reach(watch: Watch, replicas: int, *, seconds: float) -> None:
    def there() -> bool:
        return bool(watch.seen) and watch.seen[-1]["replicas"]["spec"] == replicas

    try:
        eventually(there, seconds=seconds, what=f"{replicas} replicas of {watch.deployment}")
    except AssertionError as error:
        raise AssertionError(f"{error}\nseen: {watch.replicas()}\nerrors: {watch.errors[-3:]}") from None


def _require_as_foretold(watch: Watch, spec: HpaSpec) -> None:
    real, possible = controllers(watch.seen), foretold(spec, watch.seen)
    problems = [f"{problem}: {counts}" for counts in possible if (problem := disagreement(real, counts))]
    assert len(problems) < len(possible), f"{watch.deployment}: controller {real}; foretold, {'; '.join(problems)}"
    print(f"{watch.deployment}: {real}, foretold {possible}")


def _keep(watches: Sequence[Watch]) -> None:
    """Write down what was seen, to be looked at when the comparison fails."""
    RECORDING.parent.mkdir(parents=True, exist_ok=True)
    documents = {watch.class_name: {"hpa": watch.manifest(), "seen": watch.seen} for watch in watches}
    RECORDING.write_text(json.dumps(documents))

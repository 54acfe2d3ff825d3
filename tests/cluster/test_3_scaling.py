"""io is scaled by KEDA on its queue, cpu by Kubernetes on CPU; the harness foretells what the controller did."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import tools
from harness.autoscaling.replay import replay
from harness.autoscaling.spec import HpaSpec
from harness.chart import yaml_strict
from harness.cluster import outside
from tests.cluster.place import Space, eventually
from tests.cluster.recorder import SYNC_SECONDS, Watch, api_client, recording

SHORT_DELAYS = Path(__file__).parent / "values" / "short-delays.yaml"
MAILS, MAIL_SECONDS = 1500, 25.0
UPLOADS, ROWS = 700, 2000


@pytest.mark.timeout(700)
def test_up_to_the_maximum_and_back_as_the_arithmetic_says(space: Space, tmp_path: Path) -> None:
    space.rabbitmq()
    space.services({"smtp": {"latency_seconds": MAIL_SECONDS}})
    overlay = yaml_strict.load_file(SHORT_DELAYS)
    space.install("prod,keda,kind", values={**overlay, **outside.worker_values()})
    with api_client(space.kubectl, tmp_path) as client:
        io = Watch(client, space.name, "keda-hpa-celery-io-worker", "celery-io-worker", "io")
        cpu = Watch(client, space.name, "celery-cpu-worker", "celery-cpu-worker", "cpu")
        manifests = {watch.class_name: watch.manifest() for watch in (io, cpu)}
        with recording([io, cpu]):
            eventually(lambda: len(io.documents) > SYNC_SECONDS, seconds=60, what="a first look at the autoscalers")
            space.publish({"forgot_password_mail": MAILS})
            space.publish({"bulk_upload_questions_task": UPLOADS}, kwargs={"rows": ROWS})
            _reaches(io, 5, seconds=150)
            _reaches(cpu, 3, seconds=150)
            _reaches(io, 1, seconds=240)
            _reaches(cpu, 1, seconds=240)
    _keep(tmp_path, io, cpu, manifests)
    for watch in (io, cpu):
        _same_as_foretold(watch, HpaSpec.from_manifest(manifests[watch.class_name]))


def _reaches(watch: Watch, replicas: int, *, seconds: float) -> None:
    def there() -> bool:
        return any(count == replicas for _, count in watch.replicas()[watch.passed :])

    try:
        eventually(there, seconds=seconds, what=f"{replicas} replicas of {watch.deployment}")
    except AssertionError as error:
        raise AssertionError(f"{error}\nseen: {watch.replicas()}\nerrors: {watch.errors[-3:]}") from None
    watch.passed = len(watch.replicas())


def _same_as_foretold(watch: Watch, spec: HpaSpec) -> None:
    """Some phase of the controller's 15 s must give its changes, each no more than one sync away."""
    real = watch.replicas()
    foretold = [_foretold(watch, spec, phase) for phase in range(SYNC_SECONDS)]
    fitting = [
        one
        for one in foretold
        if [n for _, n in one] == [n for _, n in real]
        and all(abs(a - b) <= SYNC_SECONDS for (a, _), (b, _) in zip(one[1:], real[1:], strict=True))
    ]
    assert fitting, f"{watch.deployment}: controller {real}, foretold {foretold}"


def _foretold(watch: Watch, spec: HpaSpec, phase: int) -> list[tuple[float, int]]:
    seen = [(t, decision.desired) for t, decision in replay(spec, watch.documents[phase::SYNC_SECONDS])]
    return [one for before, one in zip([(0.0, None), *seen], seen, strict=False) if before[1] != one[1]]


def _keep(directory: Path, io: Watch, cpu: Watch, manifests: dict[str, object]) -> None:
    """Write down what was seen, to be looked at when the comparison fails."""
    target = tools.cache_home() / "e2e" / "scaling.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps({"io": io.documents, "cpu": cpu.documents, "manifests": manifests}))
    assert not io.errors[3:], io.errors
    assert not cpu.errors[3:], cpu.errors

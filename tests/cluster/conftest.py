"""One cluster for all tests, a namespace each, and what is said when something does not come about."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.cluster import setup, way
from tests.cluster.place import Place, Space

RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cluster", action="store_true", help="run the tests that need a Kubernetes cluster")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Without --cluster there are no tests here."""
    inside = collection_path.is_relative_to(Path(__file__).parent)
    return True if inside and not config.getoption("--cluster", default=False) else None


@pytest.fixture(scope="session")
def place() -> Place:
    """The cluster KUBECONFIG names, else a kind cluster: kept afterwards, `harness cluster down` removes it."""
    if way.given(os.environ) is not None:
        return Place.given(Path(os.environ["KUBECONFIG"]))
    setup.up(setup.Plan(setup.choose("auto"), "celery-workers", workers=2))
    return Place.kind("celery-workers")


@pytest.fixture
def new_space(place: Place, tmp_path: Path) -> Iterator[Callable[[], Space]]:
    """Makes namespaces that enforce restricted Pod Security; they are removed with everything made for them."""
    with contextlib.ExitStack() as stack:

        def make() -> Space:
            space = Space(place, f"cw-e2e-{secrets.token_hex(3)}", tmp_path)
            space.create(labels=RESTRICTED)
            stack.callback(space.remove)
            return space

        yield make


@pytest.fixture
def space(new_space: Callable[[], Space]) -> Space:
    """One such namespace; what happened in it is shown when the test fails."""
    return new_space()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    report = yield
    space = getattr(item, "funcargs", {}).get("space")
    if report.when == "call" and report.failed and space is not None:
        report.sections.append((f"namespace {space.name}", space.story()))
    return report

"""Recipes, requirements and the machine's settings."""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement

from harness.chart import yaml_strict
from harness.chart.values import CHART
from harness.cluster import distribution, pipconf, recipes, requirements
from harness.cluster.kind import resident_bytes
from harness.cluster.kubectl import api_service_problem
from harness.cluster.setup import application_reference, load_reference

LOCK = """\
amqp==1 \
    --hash=sha256:a \
    --hash=sha256:b
Celery==2 \
    --hash=sha256:c
zope.event==3 \
    --hash=sha256:d
"""
RECIPE = recipes.Recipe("program", "localhost/x/name:1", stage=lambda context: None, inputs=("a",))


def test_the_lock_is_cut_by_whole_entries():
    part = requirements.locked_part(LOCK, ["celery", "zope-event"])
    assert part == LOCK[LOCK.index("Celery") :]


def test_a_name_the_lock_lacks_is_an_error():
    with pytest.raises(KeyError):
        requirements.locked_part(LOCK, ["kombu"])


def test_the_closure_follows_extras_and_markers():
    known = {
        "app": ["lib[fast]>=1", "windows-only; sys_platform == 'win32'", "dev; extra == 'test'"],
        "lib": ["base", "speedups; extra == 'fast'", "docs; extra == 'docs'"],
    }
    assert requirements.closure(["app"], requires=lambda name: known.get(name, ())) == {
        "app",
        "lib",
        "base",
        "speedups",
    }


@pytest.mark.parametrize(
    ("sources", "needed", "absent"),
    [
        (recipes.WORKER, {"celery", "gevent", "sqlalchemy", "urllib3", "kombu"}, {"locust", "pyyaml", "pytest"}),
        (recipes.LOAD, {"celery", "gevent", "sqlalchemy", "locust", "pyyaml"}, {"kubernetes", "pandas", "rich"}),
    ],
    ids=["worker", "load"],
)
def test_an_image_gets_its_own_needs_with_hashes_and_no_more(sources, needed, absent):
    text = sources.requirements()
    names = {line.split("==")[0] for line in text.splitlines() if not line.startswith(" ")}
    assert needed <= names
    assert names.isdisjoint({"plotly", "celery-workers", *absent})
    assert text.count("--hash=sha256:") >= len(names)


def test_a_need_that_two_extras_share_has_one_bound():
    project = tomllib.loads((recipes.ROOT / "pyproject.toml").read_text())["project"]
    bounds: dict[str, set[str]] = {}
    for requirement in itertools.chain(project["dependencies"], *project["optional-dependencies"].values()):
        bounds.setdefault(Requirement(requirement).name, set()).add(requirement)
    assert {name for name, found in bounds.items() if len(found) > 1} <= {"celery-workers"}


@pytest.mark.parametrize("sources", [recipes.WORKER, recipes.LOAD], ids=["worker", "load"])
def test_what_is_staged_for_an_image_runs_there(sources, tmp_path):
    sources.stage(tmp_path)
    staged = {str(path.relative_to(tmp_path / "application")) for path in (tmp_path / "application").rglob("*")}
    assert set(sources.paths) <= staged
    assert not any("__pycache__" in path for path in staged)
    assert (tmp_path / "requirements.txt").read_text() == sources.requirements()


# Run in a process of its own, with the staged sources and, of all that is installed, only what the image has.
STARTS = """
import importlib.metadata, pathlib, re, runpy, sys
application = pathlib.Path(sys.argv[1])
locked = set(re.findall(r"^([a-z0-9-]+)==", (application.parent / "requirements.txt").read_text(), re.MULTILINE))
normal = lambda name: re.sub(r"[-_.]+", "-", name).lower()
owners = importlib.metadata.packages_distributions()
missing = {name for name, found in owners.items() if not locked & set(map(normal, found))}

class OnlyWhatIsLocked:
    def find_spec(self, name, path=None, target=None):
        top = name.split(".")[0]
        if top in missing and not (application / top).exists():
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, OnlyWhatIsLocked())
runpy.run_path(str(application / "loadtests" / "spike.py"))
from harness.spike.publisher_app import CELERYCONFIG
from examx import effects
for file in (CELERYCONFIG, pathlib.Path(effects.__file__)):
    assert file.is_file() and file.is_relative_to(application), file
"""


def test_the_load_generator_starts_with_nothing_but_what_its_image_has(tmp_path):
    recipes.LOAD.stage(tmp_path)
    command = [sys.executable, "-c", STARTS, str(tmp_path / "application")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_an_image_is_found_again_only_with_the_same_inputs():
    other = [
        dataclasses.replace(RECIPE, inputs=("b",)),
        dataclasses.replace(RECIPE, reference="localhost/x/name:2"),
        dataclasses.replace(RECIPE, folder="worker"),
        dataclasses.replace(RECIPE, arguments={"A": "1"}),
        dataclasses.replace(RECIPE, root="node"),
    ]
    assert RECIPE.fingerprint() == dataclasses.replace(RECIPE).fingerprint()
    assert len({RECIPE.fingerprint(), *(one.fingerprint() for one in other)}) == len(other) + 1


def test_content_counts_bytes_modes_and_names(tmp_path):
    file = tmp_path / "a"
    file.write_text("x")
    hashes = [recipes.content_hash(tmp_path)]
    file.chmod(0o755)
    hashes.append(recipes.content_hash(tmp_path))
    file.write_text("y")
    hashes.append(recipes.content_hash(tmp_path))
    file.rename(tmp_path / "b")
    hashes.append(recipes.content_hash(tmp_path))
    assert len(set(hashes)) == len(hashes)


def test_the_workers_image_has_the_name_the_chart_asks_for():
    version = yaml_strict.load_file(CHART / "Chart.yaml")["appVersion"]
    assert application_reference() == f"docker.io/library/examx:{version}"
    assert load_reference() == f"docker.io/library/examx-load:{version}"


def test_debians_own_archive_is_taken_not_its_updates_elsewhere():
    listed = "Debian Debian-Security http://s.example/x/\nUbuntu Ubuntu http://u.example/\nDebian Debian http://d.example/debian/\n"
    assert distribution.mirror_of(listed) == "http://d.example/debian"
    assert distribution.mirror_of("Ubuntu Ubuntu http://u.example/\n") is None


def test_pip_settings_of_the_environment_win_and_local_directories_stay_out():
    listed = "global.index-url='https://a.example/simple'\n:env:.index-url='https://b.example/simple'\n:env:.find-links='/wheels'\n"
    assert pipconf.settings(listed) == {"index-url": "https://b.example/simple"}
    assert pipconf.render({"proxy": "p"}, certificates=True) == "[global]\nproxy = p\ncert = /run/ca-bundle.pem\n"


def test_secrets_are_files_that_go_away():
    with pipconf.secrets() as secrets:
        assert secrets["pip-conf"].read_text().startswith("[global]\n")
    assert not any(path.exists() for path in secrets.values())


def test_certificates_are_those_the_environment_names(tmp_path):
    bundle = tmp_path / "ca.pem"
    bundle.write_text("x")
    assert pipconf.ca_bundle({"SSL_CERT_FILE": str(bundle)}) == bundle


def test_memory_is_read_on_either_cgroup_version():
    assert resident_bytes("cache 9\nrss 1\ntotal_rss 5\n") == 5
    assert resident_bytes("anon 7\nfile 2\n") == 7


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        ({}, "no answer yet"),
        ({"conditions": [{"type": "Available", "status": "True"}]}, None),
        ({"conditions": [{"type": "Available", "status": "False", "message": "no endpoints"}]}, "no endpoints"),
    ],
)
def test_an_aggregated_api_says_what_is_wrong(status, problem):
    assert api_service_problem({"status": status}) == problem

"""`harness users` prints what rabbitmqctl takes: the roles of the release that the same values install."""

from __future__ import annotations

import json
import re
import shlex

from click.testing import CliRunner

from harness.cli import cli


def run(*arguments: str) -> str:
    done = CliRunner().invoke(cli, ["users", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_commands_say_what_the_document_says() -> None:
    lines = [shlex.split(line) for line in run("--env", "prod", "--vhost", "exams").splitlines() if line[0] != "#"]
    given = {line[4]: line[5:] for line in lines if line[1] == "set_permissions"}
    tags = {line[2]: line[3] for line in lines if line[1] == "set_user_tags"}
    assert {line[3] for line in lines if line[1] == "set_permissions"} == {"exams"}
    roles = json.loads(run("--env", "prod", "--json"))
    assert given == {f"celery-{role['name']}": [role["configure"], role["write"], role["read"]] for role in roles}
    assert tags == {f"celery-{role['name']}": role["tag"] for role in roles if role["tag"]}
    assert {line[2] for line in lines if line[1] == "add_user"} == given.keys()


def test_patterns_hold_the_releases_queues_and_no_others() -> None:
    roles = {role["name"]: role for role in json.loads(run("--env", "prod", "--json"))}
    worker = re.compile(roles["worker"]["read"])
    assert worker.search("io")
    assert worker.search("mixed")
    assert worker.search("io@celery-io-worker-1.celery.pidbox")
    assert not worker.search("io.dead")
    assert not worker.search("iot")
    topology = re.compile(roles["topology"]["configure"])
    assert topology.search("io.dead")
    assert not topology.search("io-dead")

"""The objects of a local run, reached from another process: questions and answers are files in one directory.

The run's own side is a controller of the local runtime, so that an override ends whether or not its command still runs.
"""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from harness.errors import HarnessError, InputError
from harness.files import write_privately
from harness.ops.engine import ConflictError, Engine, ObjectHandler
from harness.runtime.local.documents import DocumentStore, StaleError

DIRECTORY = "ops"
QUESTION, ANSWER = ".question.json", ".answer.json"
ANSWER_SECONDS = 10.0
POLL_SECONDS = 0.02
EXPIRY_EVERY_SECONDS = 0.5
BY = "the run's controller"


class HasDocuments(Protocol):
    """A runtime with a release installed."""

    @property
    def documents(self) -> DocumentStore:
        """The release's objects."""


class LocalDocuments:
    """The documents of a runtime in this process, as the engine wants them."""

    def __init__(self, runtime: HasDocuments) -> None:
        self._runtime = runtime

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return an object, None where there is none."""
        return self._runtime.documents.get(kind, name)

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Return all objects of a kind."""
        return self._runtime.documents.all(kind)

    def patch(self, kind: str, name: str, change: Mapping[str, Any]) -> dict[str, Any]:
        """Apply a merge patch. Raises ConflictError and InputError."""
        with _conflicts():
            return self._runtime.documents.patch(kind, name, change)

    def create(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Make an object. Raises ConflictError and InputError."""
        with _conflicts():
            return self._runtime.documents.create(document)


class Controller:
    """Answers the questions of commands and undoes overrides at their end.

    A runtime's `add_controller` takes `tick`.
    """

    def __init__(
        self, runtime: HasDocuments, *, directory: Path, release: str, clock: Callable[[], float] = time.time
    ) -> None:
        """`directory` is made for this user alone."""
        directory.mkdir(parents=True, mode=0o700, exist_ok=True)
        self._directory = directory
        self._documents = LocalDocuments(runtime)
        handler = ObjectHandler(self._documents, release)
        handlers = {"floor": handler, "hold": handler, "paused": handler}
        self._engine = Engine(self._documents, release, handlers, by=BY, clock=clock)
        self._clock = clock
        self._expiry_at = 0.0

    def tick(self) -> None:
        """Do what is due."""
        for question in sorted(self._directory.glob(f"*{QUESTION}")):
            self._answer(question)
        if self._clock() >= self._expiry_at:
            self._expiry_at = self._clock() + EXPIRY_EVERY_SECONDS
            with contextlib.suppress(HarnessError):  # it is tried again; the run goes on
                self._engine.expire()

    def _answer(self, path: Path) -> None:
        question = json.loads(path.read_text())
        path.unlink()
        try:
            answer = {"value": self._do(**question)}
        except ConflictError as error:
            answer = {"conflict": str(error)}
        except HarnessError as error:
            answer = {"error": str(error)}
        write_privately(path.with_name(path.name.replace(QUESTION, ANSWER)), json.dumps(answer))

    def _do(self, verb: str, kind: str = "", name: str = "", document: Mapping[str, Any] | None = None) -> Any:
        if verb == "get":
            return self._documents.get(kind, name)
        if verb == "all":
            return self._documents.all(kind)
        if verb == "patch":
            return self._documents.patch(kind, name, document or {})
        if verb == "create":
            return self._documents.create(document or {})
        raise InputError(f"a local run does not know {verb}")


class RunDocuments:
    """The documents of a run in another process. Every method raises HarnessError when it does not answer."""

    def __init__(self, directory: Path, *, answer_seconds: float = ANSWER_SECONDS) -> None:
        self._directory = directory
        self._answer_seconds = answer_seconds

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return an object, None where there is none."""
        found: dict[str, Any] | None = self._ask(verb="get", kind=kind, name=name)
        return found

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Return all objects of a kind."""
        found: list[dict[str, Any]] = self._ask(verb="all", kind=kind)
        return found

    def patch(self, kind: str, name: str, change: Mapping[str, Any]) -> dict[str, Any]:
        """Apply a merge patch. Raises ConflictError where it names another version."""
        found: dict[str, Any] = self._ask(verb="patch", kind=kind, name=name, document=change)
        return found

    def create(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Make an object. Raises ConflictError where there is one of that name."""
        found: dict[str, Any] = self._ask(verb="create", document=document)
        return found

    def _ask(self, **question: Any) -> Any:
        path = self._directory / f"{uuid.uuid4().hex}{QUESTION}"
        answer_path = path.with_name(path.name.replace(QUESTION, ANSWER))
        try:
            write_privately(path, json.dumps(question))
        except OSError as error:
            raise HarnessError(f"the local run at {self._directory} is gone: {error.strerror}") from error
        deadline = time.monotonic() + self._answer_seconds
        while not answer_path.exists():
            if time.monotonic() > deadline:
                path.unlink(missing_ok=True)
                raise HarnessError(f"the local run does not answer within {self._answer_seconds:g} s: is it stopping?")
            time.sleep(POLL_SECONDS)
        answer = json.loads(answer_path.read_text())
        answer_path.unlink()
        if "conflict" in answer:
            raise ConflictError(answer["conflict"])
        if "error" in answer:
            raise InputError(answer["error"])
        return answer["value"]


@contextlib.contextmanager
def _conflicts() -> Any:
    try:
        yield
    except StaleError as error:
        raise ConflictError(str(error)) from error

"""A cluster's API server read by the official client; answers are plain documents, as kubectl prints them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.config import ConfigException
from urllib3.exceptions import HTTPError

from harness.errors import HarnessError, InputError

ANSWER_SECONDS = 10.0

Document = dict[str, Any]
Answer = TypeVar("Answer")


class Api:
    """The API of the cluster a kubeconfig names. One thread at a time."""

    def __init__(self, kubeconfig: Path, *, answer_seconds: float = ANSWER_SECONDS) -> None:
        """Read the kubeconfig; a question waits `answer_seconds`. Raises InputError for one that cannot be used."""
        settings = client.Configuration()
        settings.retries = False  # urllib3 would ask a silent server four times
        try:
            config.load_kube_config(str(kubeconfig), client_configuration=settings, persist_config=False)
        except (ConfigException, OSError) as error:
            raise InputError(f"KUBECONFIG {kubeconfig}: {error}") from error
        self._client = client.ApiClient(settings)
        self._core = client.CoreV1Api(self._client)
        self._custom = client.CustomObjectsApi(self._client)
        self._answer_seconds = answer_seconds

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def objects(self, group_version: str, plural: str, namespace: str, selector: str = "") -> list[Document]:
        """Return a namespace's objects of one kind, e.g. ("apps/v1", "deployments"); "v1" is for pods only.

        Raises HarnessError when the server does not answer or refuses.
        """
        labels = {"label_selector": selector} if selector else {}
        if group_version == "v1":
            options = {"_preload_content": False, "_request_timeout": self._answer_seconds, **labels}
            answer = _ask(lambda: json.loads(self._core.list_namespaced_pod(namespace, **options).data))
        else:
            group, version = group_version.split("/")
            answer = _ask(
                lambda: self._custom.list_namespaced_custom_object(
                    group, version, namespace, plural, _request_timeout=self._answer_seconds, **labels
                )
            )
        return [*answer["items"]]

    def get(self, group_version: str, plural: str, namespace: str, name: str) -> Document:
        """Return one object of a named API group. Raises HarnessError when it is not there or cannot be read."""
        group, version = group_version.split("/")
        return _ask(
            lambda: self._custom.get_namespaced_custom_object(
                group, version, namespace, plural, name, _request_timeout=self._answer_seconds
            )
        )

    def scale(self, group_version: str, plural: str, namespace: str, name: str) -> Document:
        """Return the scale of an object: replicas wanted, replicas there, the pods' selector. Raises HarnessError."""
        group, version = group_version.split("/")
        return _ask(
            lambda: self._custom.get_namespaced_custom_object_scale(
                group, version, namespace, plural, name, _request_timeout=self._answer_seconds
            )
        )

    def external_metric(self, namespace: str, name: str, selector: str) -> list[Document]:
        """Return the items of one external metric, as the autoscaler reads it. Raises HarnessError."""
        return self.objects("external.metrics.k8s.io/v1beta1", name, namespace, selector)

    def evict(self, namespace: str, pod: str) -> bool:
        """Ask for a pod's eviction, as a drain does; False when its disruption budget refuses. Raises HarnessError."""
        eviction = client.V1Eviction(metadata=client.V1ObjectMeta(name=pod, namespace=namespace))
        try:
            _ask(
                lambda: self._core.create_namespaced_pod_eviction(
                    pod, namespace, eviction, _request_timeout=self._answer_seconds
                )
            )
        except HarnessError as error:
            if isinstance(error.__cause__, ApiException) and error.__cause__.status == HTTPStatus.TOO_MANY_REQUESTS:
                return False
            raise
        return True

    def watch_pods(self, namespace: str, *, seconds: float, selector: str = "") -> Iterator[tuple[str, Document]]:
        """Yield (ADDED, MODIFIED or DELETED, pod) for what is there and for each change, for so many seconds.

        Raises HarnessError when the server does not answer or refuses.
        """
        listing = self._core.list_namespaced_pod
        yield from self._changes(listing, namespace, seconds=seconds, label_selector=selector, deserialize=False)

    def watch(self, group_version: str, plural: str, namespace: str, seconds: float) -> Iterator[tuple[str, Document]]:
        """Do as `watch_pods` for the objects of one kind of a named API group."""
        group, version = group_version.split("/")
        listing = self._custom.list_namespaced_custom_object
        yield from self._changes(listing, group, version, namespace, plural, seconds=seconds)

    def _changes(
        self, listing: Callable[..., Any], *where: str, seconds: float, **options: Any
    ) -> Iterator[tuple[str, Document]]:
        changes = watch.Watch().stream(
            listing,
            *where,
            timeout_seconds=round(seconds),
            _request_timeout=seconds + self._answer_seconds,
            **options,
        )
        while (change := _ask(lambda: next(changes, None))) is not None:
            yield change["type"], change["object"]


def _ask(question: Callable[[], Answer]) -> Answer:
    try:
        return question()
    except ApiException as error:
        raise HarnessError(f"the API server answers {error.status} {error.reason}") from error
    except (HTTPError, OSError, ValueError) as error:
        raise HarnessError(f"the API server does not answer: {error}") from error

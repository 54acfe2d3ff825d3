"""What a user says of the cluster KUBECONFIG names: images it can pull, volumes several nodes can write to. Pure.

| variable | what it names |
|---|---|
| CELERY_WORKERS_STORAGE_CLASS | a StorageClass with ReadWriteMany volumes: RabbitMQ's data, and the effects of tasks |
| CELERY_WORKERS_IMAGE | the reference application's image, with a tag |
| CELERY_WORKERS_LOAD_IMAGE | the load generator's image, with a tag; unset: the application's, `-load` after its name |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import InputError

STORAGE_CLASS_VARIABLE = "CELERY_WORKERS_STORAGE_CLASS"
IMAGE_VARIABLE = "CELERY_WORKERS_IMAGE"
LOAD_IMAGE_VARIABLE = "CELERY_WORKERS_LOAD_IMAGE"
NO_STORAGE_CLASS = (
    f"{STORAGE_CLASS_VARIABLE} is not set: what tasks do is counted on a volume that several nodes may write to "
    "(ReadWriteMany); set it to the name of a StorageClass that gives such volumes"
)


@dataclass(frozen=True, kw_only=True)
class Given:
    """`storage_class` None: no volume is shared between nodes. `image_values` name the image where it is the user's."""

    storage_class: str | None
    image: str
    load_image: str
    image_values: Mapping[str, Any]


def read(environment: Mapping[str, str], *, default_image: str) -> Given:
    """Return what the environment says; `default_image` is the one the chart asks for when left alone.

    Raises InputError for an image without a tag.
    """
    image = _tagged(environment, IMAGE_VARIABLE)
    return Given(
        storage_class=environment.get(STORAGE_CLASS_VARIABLE) or None,
        image=image or default_image,
        load_image=_tagged(environment, LOAD_IMAGE_VARIABLE) or load_of(image or default_image),
        image_values=_values(image) if image is not None and image != default_image else {},
    )


def load_of(application: str) -> str:
    """Return the name of the load generator's image that is made from an application's.

    >>> load_of("registry.example:5000/examx:0.1.0")
    'registry.example:5000/examx-load:0.1.0'
    """
    repository, _, tag = application.rpartition(":")
    return f"{repository}-load:{tag}"


def _values(image: str) -> dict[str, Any]:
    repository, _, tag = image.rpartition(":")
    return {"image": {"repository": repository, "tag": tag}}


def _tagged(environment: Mapping[str, str], variable: str) -> str | None:
    image = environment.get(variable)
    if not image:
        return None
    repository, colon, tag = image.rpartition(":")
    if not colon or not repository or "/" in tag or "@" in image:
        raise InputError(f"{variable} is {image!r}: name repository and tag, as in registry.example/examx:0.1.0")
    return image

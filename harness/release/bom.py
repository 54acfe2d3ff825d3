"""Bills of materials: what is in an image, which images a chart names. CycloneDX 1.6 as JSON. Pure.

The same things give the same text: the moment is the commit's, the serial number follows from what the bill is of.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.contact import OrganizationalEntity
from cyclonedx.model.license import License, LicenseAcknowledgement
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

from harness.errors import HarnessError
from harness.release.image_archive import Contents, DebianPackage, PythonPackage

SCHEMA = SchemaVersion.V1_6
SITE_PACKAGES = re.compile(r"opt/venv/lib/python3\.\d+/site-packages")
"""Where the lock's packages are in an image, as images/worker/Containerfile has it."""
HASHES = Property(
    name="celery-workers:hashes",
    value="A Python package has the SHA-256 of each file that requirements.lock allows, the installed one among them.",
)


@dataclass(frozen=True)
class Subject:
    """What a bill is of. `sha256` is of the file that is handed out; `made_by` and `supplier` are names."""

    name: str
    version: str
    description: str
    revision: str
    moment: datetime
    license: str
    source: str
    supplier: str
    sha256: str
    made_by: str


@dataclass(frozen=True)
class Locked:
    """A package as the lock has it."""

    version: str
    sha256: tuple[str, ...]


def locked(entries: Mapping[str, str]) -> dict[str, Locked]:
    """Return name -> version and hashes, of a lock's entries by name."""
    return {
        name: Locked(
            re.split(r"==|[\s\\;]", entry)[1], tuple(sorted(re.findall(r"--hash=sha256:([0-9a-f]{64})", entry)))
        )
        for name, entry in entries.items()
    }


def of_image(subject: Subject, contents: Contents, needs: Mapping[str, Locked]) -> str:
    """Return the bill of an image. Raises HarnessError where it has other packages than the lock says."""
    _require_as_locked(subject.name, contents.python, needs)
    components = [
        _component(subject, kind=ComponentType.APPLICATION, name="celery-workers", reference="sources"),
        *_interpreter(contents),
        *(_python(one, needs.get(one.name)) for one in _once(contents.python)),
        *(_debian(one, contents.system or "debian") for one in contents.debian),
    ]
    return _text(subject, ComponentType.CONTAINER, components, [HASHES])


def of_chart(subject: Subject, images: Sequence[Mapping[str, str]]) -> str:
    """Return the bill of a chart: the images that its values name, as `chart_yaml.images` has them."""
    return _text(subject, ComponentType.APPLICATION, [_image(one["image"]) for one in images], [])


def _require_as_locked(image: str, installed: Iterable[PythonPackage], needs: Mapping[str, Locked]) -> None:
    there = {(one.name, one.version) for one in installed if SITE_PACKAGES.fullmatch(one.directory)}
    wanted = {(name, one.version) for name, one in needs.items()}
    problems = [
        *(f"{name} {version} is in it and not in the lock" for name, version in sorted(there - wanted)),
        *(f"{name} {version} is in the lock and not in it" for name, version in sorted(wanted - there)),
    ]
    if problems:
        raise HarnessError(f"image {image} is not what requirements.lock says: {'; '.join(problems)}")


def _once(packages: Iterable[PythonPackage]) -> list[PythonPackage]:
    """Return one of each name and version: what is there twice is one line of a bill."""
    return list({(one.name, one.version): one for one in packages}.values())


def _python(package: PythonPackage, lock: Locked | None) -> Component:
    url = PackageURL("pypi", name=package.name, version=package.version)
    allowed = lock.sha256 if lock and SITE_PACKAGES.fullmatch(package.directory) else ()
    return Component(
        name=package.name,
        version=package.version,
        purl=url,
        bom_ref=url.to_string(),
        licenses=_licenses(package.license),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=one) for one in allowed],
    )


def _debian(package: DebianPackage, system: str) -> Component:
    qualifiers = {"arch": package.architecture, "distro": system, "upstream": package.source}
    url = PackageURL("deb", system.partition("-")[0], package.name, package.version, qualifiers)
    return Component(name=package.name, version=package.version, purl=url, bom_ref=url.to_string())


def _interpreter(contents: Contents) -> list[Component]:
    """Return the Python of a public Python image, which is no package and says its version in the environment."""
    version = contents.environment.get("PYTHON_VERSION")
    if version is None:
        return []
    url = PackageURL("generic", name="python", version=version)
    return [
        Component(type=ComponentType.APPLICATION, name="python", version=version, purl=url, bom_ref=url.to_string())
    ]


def _image(reference: str) -> Component:
    whole, _, digest = reference.partition("@")
    path, slash, last = whole.rpartition("/")  # a port's colon is before the last one
    name, _, tag = last.partition(":")
    repository = f"{path}{slash}{name}"
    qualifiers = ({"tag": tag} if tag else {}) | ({"repository_url": repository} if slash else {})
    url = PackageURL("oci", name=name, version=digest or None, qualifiers=qualifiers)
    return Component(
        type=ComponentType.CONTAINER, name=repository, version=digest or tag, purl=url, bom_ref=url.to_string()
    )


def _component(subject: Subject, *, kind: ComponentType, name: str, reference: str) -> Component:
    return Component(
        type=kind, name=name, version=subject.version, bom_ref=reference, licenses=_licenses(subject.license),
        external_references=[ExternalReference(type=ExternalReferenceType.VCS, url=XsUri(subject.source))],
    )  # fmt: skip


def _licenses(text: str | None) -> list[License]:
    """Return the licence as an SPDX identifier or expression where it is one, else by its name."""
    if text is None:
        return []
    return [LicenseFactory().make_from_string(text, license_acknowledgement=LicenseAcknowledgement.DECLARED)]


def _text(
    subject: Subject, kind: ComponentType, components: Sequence[Component], properties: Sequence[Property]
) -> str:
    root = _component(subject, kind=kind, name=subject.name, reference=f"{subject.name}@{subject.version}")
    root.description, root.supplier = subject.description, OrganizationalEntity(name=subject.supplier)
    root.hashes = [HashType(alg=HashAlgorithm.SHA_256, content=subject.sha256)]
    tool = Component(type=ComponentType.APPLICATION, name="celery-workers harness", version=subject.made_by)
    metadata = BomMetaData(
        timestamp=subject.moment, component=root, tools=ToolRepository(components=[tool]), properties=properties
    )
    name = f"{subject.source}#{subject.name}@{subject.version}@{subject.revision}@{subject.sha256}"
    bom = Bom(components=components, metadata=metadata, serial_number=uuid5(NAMESPACE_URL, name))
    bom.register_dependency(root, components)
    return make_outputter(bom, OutputFormat.JSON, SCHEMA).output_as_string(indent=2) + "\n"

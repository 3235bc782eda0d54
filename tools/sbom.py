"""What is in the packages: a CycloneDX document of the program, its Python libraries, and what the dashboard bundles.

Python libraries are read from a folder into which they were installed, npm's from the committed lock. The document has
no time but the commit's and no random number, so the same sources give the same document. It is checked against
CycloneDX's own schema. Of requirements-release.lock: cyclonedx-python-lib.
"""

import json
import re
import uuid
from base64 import b64decode
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any, Final, NamedTuple

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from packaging.requirements import Requirement

NAME: Final = "llm-metrics-proxy"
_LICENCES: Final = LicenseFactory()
_LONGEST_LICENCE: Final = 100  # some put the whole text where its name belongs


class Needing(NamedTuple):
    """A component, and by name what it needs of its own kind."""

    component: Component
    needs: frozenset[str]


def document(site: Path, package_lock: Path, *, version: str, epoch: int) -> str:
    """JSON, version 1.6. ``site`` has the program installed, too. Raises ``ValueError`` if it is not to the schema."""
    python = dict(_python(site))
    npm, bundled = _npm(package_lock)
    program = python.pop(NAME)
    program.component.type = ComponentType.APPLICATION
    purl = f"pkg:pypi/{NAME}@{version}"
    bom = Bom(
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"{purl}#{epoch}"),
        metadata=BomMetaData(component=program.component, timestamp=datetime.fromtimestamp(epoch, UTC)),
        components=[part.component for part in (*python.values(), *npm.values())],
    )
    bom.register_dependency(program.component, [*_named(python, program.needs), *_named(npm, bundled)])
    for kind in (python, npm):
        for part in kind.values():
            bom.register_dependency(part.component, _named(kind, part.needs))
    text = str(JsonV1Dot6(bom).output_as_string(indent=2))
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if fault is not None:
        raise ValueError(f"the SBOM is not to CycloneDX 1.6: {fault}")
    return f"{text}\n"


def _named(parts: dict[str, Needing], names: Iterable[str]) -> list[Component]:
    return [parts[name].component for name in sorted(names) if name in parts]


def _python(site: Path) -> Iterator[tuple[str, Needing]]:
    for one in distributions(path=[str(site)]):
        name = _canonical(one.name)
        component = Component(
            name=name,
            version=one.version,
            type=ComponentType.LIBRARY,
            purl=PackageURL("pypi", None, name, one.version),
            bom_ref=f"pypi:{name}@{one.version}",
            description=one.metadata.get("Summary"),
            licenses=[_LICENCES.make_from_string(licence) for licence in _licences(one)],
        )
        # With every extra; markers need no look: what is not installed is not named.
        needs = {_canonical(Requirement(each).name) for each in one.requires or ()}
        yield name, Needing(component, frozenset(needs - {name}))


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _licences(one: Distribution) -> list[str]:
    """One expression, or what older metadata says."""
    if expression := one.metadata.get("License-Expression"):
        return [expression]
    if (named := one.metadata.get("License")) and "\n" not in named and len(named) <= _LONGEST_LICENCE:
        return [named]
    classifiers = one.metadata.get_all("Classifier") or []
    return sorted({each.rpartition(" :: ")[2] for each in classifiers if each.startswith("License :: ")})


def _npm(package_lock: Path) -> tuple[dict[str, Needing], frozenset[str]]:
    """What is bundled, by name, and which of it the dashboard itself names. One version of each, as the lock has it."""
    packages: dict[str, dict[str, Any]] = json.loads(package_lock.read_text(encoding="utf-8"))["packages"]
    found = {}
    for place, entry in packages.items():
        if not place or entry.get("dev"):
            continue
        name = place.rpartition("node_modules/")[2]
        scope, _, short = name.rpartition("/")
        algorithm, _, digest = entry["integrity"].partition("-")
        component = Component(
            name=short,
            group=scope or None,
            version=entry["version"],
            type=ComponentType.LIBRARY,
            purl=PackageURL("npm", scope or None, short, entry["version"]),
            bom_ref=f"npm:{name}@{entry['version']}",
            licenses=[_LICENCES.make_from_string(entry["license"])] if "license" in entry else [],
            hashes=[HashType(alg=_ALGORITHMS[algorithm], content=b64decode(digest).hex())],
        )
        found[name] = Needing(component, frozenset(entry.get("dependencies", {})))
    return found, frozenset(packages[""].get("dependencies", {}))


_ALGORITHMS: Final = {"sha512": HashAlgorithm.SHA_512, "sha256": HashAlgorithm.SHA_256, "sha1": HashAlgorithm.SHA_1}

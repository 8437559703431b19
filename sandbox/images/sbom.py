"""A bill of materials of an image (SPDX 2.3, JSON), read from the image's own files: Debian packages and Python ones.

Source of the fields: https://spdx.github.io/spdx-spec/v2.3/. Names of packages are package URLs, as scanners want them.
The document depends on nothing but the image, so that the same image has the same bill.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from email.parser import Parser
from typing import IO, Any

from sandbox.images.archive import OciImage

SPDX = "application/spdx+json"
_STATUS = "var/lib/dpkg/status"


def sbom(image: OciImage, epoch: int) -> bytes:
    """Return the SPDX document of an image; `epoch` (seconds) is its creation date."""
    name = image.digest.removeprefix("sha256:")
    found = packages(image)
    root = "SPDXRef-image"
    described = [{"SPDXID": root, "name": "image", "versionInfo": image.digest, **_NOTHING_CLAIMED}]
    described += [
        {
            "SPDXID": f"SPDXRef-{number}",
            "name": package,
            "versionInfo": version,
            "externalRefs": [
                {
                    "referenceCategory": "PACKAGE-MANAGER",
                    "referenceType": "purl",
                    "referenceLocator": f"pkg:{kind}/{package}@{version}",
                }
            ],
            **_NOTHING_CLAIMED,
        }
        for number, (kind, package, version) in enumerate(found)
    ]
    relations = [_relation("SPDXRef-DOCUMENT", "DESCRIBES", root)]
    relations += [_relation(root, "CONTAINS", f"SPDXRef-{number}") for number in range(len(found))]
    document = {
        "spdxVersion": "SPDX-2.3",
        "SPDXID": "SPDXRef-DOCUMENT",
        "dataLicense": "CC0-1.0",
        "name": f"image-{name[:12]}",
        "documentNamespace": f"https://spdx.org/spdxdocs/image-{name}",
        "creationInfo": {
            "created": datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": ["Tool: platform-sandbox"],
        },
        "packages": described,
        "relationships": relations,
    }
    return json.dumps(document, indent=1, sort_keys=True).encode()


_NOTHING_CLAIMED = {"downloadLocation": "NOASSERTION", "filesAnalyzed": False}


def packages(image: OciImage) -> list[tuple[str, str, str]]:
    """Return (purl type and namespace, name, version) of every package in the image, sorted.

    A later layer's file goes before an earlier one's; what a later layer deletes is not there.
    """
    found: dict[str, list[tuple[str, str, str]]] = {}
    for layer in image.layers:
        with tarfile.open(layer.path, "r:gz") as tar:
            for member in tar:
                path = member.name.removeprefix("./")
                folder, _, file = path.rpartition("/")
                if file.startswith(".wh."):
                    gone = folder if file == ".wh..wh..opq" else f"{folder}/{file.removeprefix('.wh.')}".lstrip("/")
                    found = {p: v for p, v in found.items() if p != gone and not p.startswith(f"{gone}/")}
                elif member.isfile() and (content := tar.extractfile(member)) is not None:
                    if path == _STATUS or folder == f"{_STATUS}.d":
                        found[path] = list(_debian(content))
                    elif path.endswith(".dist-info/METADATA"):
                        found[path] = list(_python(content))
    return sorted({package for listed in found.values() for package in listed})


def _debian(file: IO[bytes]) -> Iterator[tuple[str, str, str]]:
    for paragraph in file.read().decode(errors="replace").split("\n\n"):
        fields = Parser().parsestr(paragraph.strip(), headersonly=True)
        if fields["Package"] and fields["Version"]:
            yield "deb/debian", fields["Package"], fields["Version"]


def _python(file: IO[bytes]) -> Iterator[tuple[str, str, str]]:
    fields = Parser().parsestr(file.read().decode(errors="replace"), headersonly=True)
    if fields["Name"] and fields["Version"]:
        yield "pypi", fields["Name"].lower().replace("_", "-"), fields["Version"]


def _relation(subject: str, kind: str, other: str) -> dict[str, Any]:
    return {"spdxElementId": subject, "relationshipType": kind, "relatedSpdxElement": other}

"""The SBOM of an image (SPDX 2.3, JSON): Debian and Python packages, read from its files.

Source: https://spdx.github.io/spdx-spec/v2.3/. Packages are named by package URL.
The document depends on the image alone, so an image has one SBOM.
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
    """Return an image's SPDX document, created at `epoch` (seconds)."""
    name = image.digest.removeprefix("sha256:")
    contents = packages(image)
    root = "SPDXRef-image"
    described = [{"SPDXID": root, "name": "image", "versionInfo": image.digest, **_NO_ASSERTION}]
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
            **_NO_ASSERTION,
        }
        for number, (kind, package, version) in enumerate(contents)
    ]
    relations = [_relation("SPDXRef-DOCUMENT", "DESCRIBES", root)]
    relations += [
        _relation(root, "CONTAINS", f"SPDXRef-{number}") for number in range(len(contents))
    ]
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


_NO_ASSERTION = {"downloadLocation": "NOASSERTION", "filesAnalyzed": False}


def packages(image: OciImage) -> list[tuple[str, str, str]]:
    """Return (purl type and namespace, name, version) of every package in the image, sorted.

    Later layers replace and delete (whiteout) files of earlier ones.
    """
    by_path: dict[str, list[tuple[str, str, str]]] = {}
    for layer in image.layers:
        with tarfile.open(layer.path, "r:gz") as tar:
            for member in tar:
                path = member.name.removeprefix("./")
                folder, _, file = path.rpartition("/")
                if file.startswith(".wh."):
                    deleted = (
                        folder
                        if file == ".wh..wh..opq"
                        else f"{folder}/{file.removeprefix('.wh.')}".lstrip("/")
                    )
                    by_path = {
                        p: v
                        for p, v in by_path.items()
                        if p != deleted and not p.startswith(f"{deleted}/")
                    }
                elif member.isfile() and (content := tar.extractfile(member)) is not None:
                    if path == _STATUS or folder == f"{_STATUS}.d":
                        by_path[path] = list(_debian(content))
                    elif path.endswith(".dist-info/METADATA"):
                        by_path[path] = list(_python(content))
    return sorted({package for entries in by_path.values() for package in entries})


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

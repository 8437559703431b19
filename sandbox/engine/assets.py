"""Assets and archives: the hash by which a change of their content is noticed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.engine.errors import EngineError
from sandbox.engine.values import ARCHIVE, ASSET, SIGNATURE, Output, Properties, Secret


def with_hashes(properties: Mapping[str, Any], directory: Path) -> Properties:
    """Return the properties with every asset carrying its content's SHA-256; paths are relative to the program."""
    folder = directory if directory.is_dir() else directory.parent
    return {key: _hashed(value, folder) for key, value in properties.items()}


def _hashed(value: Any, folder: Path) -> Any:
    if isinstance(value, Secret):
        return Secret(_hashed(value.value, folder))
    if isinstance(value, Output):
        return Output(_hashed(value.value, folder), value.dependencies)
    if isinstance(value, list):
        return [_hashed(item, folder) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get(SIGNATURE) == ASSET:
        return value if value.get("hash") else {**value, "hash": hashlib.sha256(_content(value, folder)).hexdigest()}
    if value.get(SIGNATURE) == ARCHIVE and not value.get("hash"):
        raise EngineError(
            "Archives (AssetArchive, FileArchive, RemoteArchive) are not supported by the embedded engine."
        )
    return {key: _hashed(item, folder) for key, item in value.items()}


def _content(asset: Mapping[str, Any], folder: Path) -> bytes:
    if "text" in asset and asset["text"] is not None and not asset.get("path"):
        return str(asset["text"]).encode()
    if asset.get("path"):
        path = folder / str(asset["path"])
        try:
            return path.read_bytes()
        except OSError as error:
            raise EngineError(f"The asset {path} can't be read: {error.strerror}.") from error
    raise EngineError("Remote assets (RemoteAsset) are not supported by the embedded engine.")

"""Assets and archives: their hashes, and their form on the wire.

The hashes are those of the Pulumi engine: SHA-256 of an asset's bytes, of an archive file, or of
the tar stream of any other archive's members. Both engines therefore detect the same changes.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import posixpath
import stat
import tarfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import unquote, urlsplit

from sandbox.engine.errors import EngineError
from sandbox.engine.state.property_values import (
    ASSET,
    SIGNATURE,
    Output,
    Properties,
    Secret,
    is_asset,
)
from sandbox.engine.state.tar_stream import TarStream

_FORMATS = {".tar": "tar", ".tgz": "tgz", ".tar.gz": "tgz", ".zip": "zip", ".jar": "zip"}
_IGNORED = ".pulumi"  # a program's directory may contain the state of its stacks
_CHUNK = 1 << 20
_TIMEOUT = 60


def _open(path: Path) -> IO[bytes]:
    return path.open("rb")


class _Member(NamedTuple):
    name: str
    size: int
    open: Callable[[], IO[bytes]]


def with_hashes(properties: Mapping[str, Any], directory: Path) -> Properties:
    """Add its hash to every asset and archive; paths are relative to the program."""
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
    if is_asset(value):
        return _normal(value, folder)
    return {key: _hashed(item, folder) for key, item in value.items()}


def _normal(value: Mapping[str, Any], folder: Path) -> Properties:
    """Return an asset or archive as the state stores it: source and hash."""
    single = value[SIGNATURE] == ASSET
    source = next(
        (key for key in ("path", "uri") if value.get(key)), "text" if single else "assets"
    )
    content: Any = value.get(source) or ("" if single else {})
    if source == "assets":
        content = {name: _member(name, item, folder) for name, item in content.items()}
    normalized: Properties = {SIGNATURE: value[SIGNATURE]} | (
        {source: content} if content != "" else {}
    )
    if value.get("hash"):
        return {**normalized, "hash": value["hash"]}
    digest = hashlib.sha256()
    with _readable(normalized):
        if single:
            (member,) = _of_asset("", normalized, folder)
            for chunk in _chunks(member):
                digest.update(chunk)
        else:
            _digest_archive(normalized, folder, digest.update)
    return {**normalized, "hash": digest.hexdigest()}


def _member(name: str, value: Any, folder: Path) -> Properties:
    while isinstance(value, Secret | Output):
        value = value.value
    if not is_asset(value):
        raise EngineError(f"The archive's member {name!r} is neither an asset nor an archive.")
    return _normal(value, folder)


@contextmanager
def _readable(value: Mapping[str, Any]) -> Iterator[None]:
    where = value.get("path") or value.get("uri") or ""
    what = "asset" if value[SIGNATURE] == ASSET else "archive"
    try:
        yield
    except urllib.error.URLError as error:
        raise EngineError(f"The {what} {where} cannot be fetched: {error.reason}.") from error
    except OSError as error:
        raise EngineError(
            f"The {what} {error.filename or where} cannot be read: {error.strerror or error}."
        ) from error
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        gzip.BadGzipFile,
        zlib.error,
        EOFError,
        ValueError,
    ) as error:
        raise EngineError(f"The {what} {where} cannot be read: {error}.") from error


def _digest_archive(
    archive: Mapping[str, Any], folder: Path, update: Callable[[bytes], object]
) -> None:
    if _format(_place(archive)):
        for chunk in _chunks(_of_file("", archive, folder)):
            update(chunk)
        return
    stream, seen = TarStream(update), set()
    for member in _members(archive, folder):
        if member.name in seen:
            continue  # in overlapping archives the first member wins
        seen.add(member.name)
        written = stream.add(member.name, member.size)
        for chunk in _chunks(member):
            written.write(chunk)
        written.close()
    stream.close()


def _chunks(member: _Member) -> Iterator[bytes]:
    with member.open() as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _place(value: Mapping[str, Any]) -> str:
    return str(value.get("path") or unquote(urlsplit(str(value.get("uri") or "")).path))


def _format(path: str) -> str:
    return next((kind for ending, kind in _FORMATS.items() if path.endswith(ending)), "")


def _of_asset(name: str, asset: Mapping[str, Any], folder: Path) -> Iterator[_Member]:
    if asset.get("path") or asset.get("uri"):
        yield _of_file(name, asset, folder)
    else:
        data = str(asset.get("text") or "").encode()
        yield _Member(name, len(data), lambda: io.BytesIO(data))


def _of_file(name: str, value: Mapping[str, Any], folder: Path) -> _Member:
    """Return the content of a local or remote file."""
    if not value.get("path"):
        uri = urlsplit(str(value["uri"]))
        if uri.scheme != "file":
            data = _fetch(str(value["uri"]))
            return _Member(name, len(data), lambda: io.BytesIO(data))
        if uri.netloc not in ("", "localhost"):
            raise EngineError(
                f"{value['uri']} names the host {uri.netloc!r}; a file:// address must be local."
            )
    path = folder / _place(value)
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise EngineError(f"The asset {path} is a directory; use a FileArchive.")
    return _Member(name, status.st_size, lambda: path.open("rb"))


def _fetch(uri: str) -> bytes:
    if urlsplit(uri).scheme not in ("http", "https"):
        raise EngineError(f"{uri} cannot be fetched: only http, https and file are supported.")
    with urllib.request.urlopen(uri, timeout=_TIMEOUT) as response:  # noqa: S310 - the scheme was checked
        data: bytes = response.read()
        return data


def _members(archive: Mapping[str, Any], folder: Path) -> Iterator[_Member]:
    if "path" not in archive and "uri" not in archive:
        for name, item in sorted(
            (archive.get("assets") or {}).items(), key=lambda pair: os.fsencode(pair[0])
        ):
            if item[SIGNATURE] == ASSET:
                yield from _of_asset(name, item, folder)
            else:
                for member in _members(item, folder):
                    yield member._replace(
                        name=posixpath.normpath(posixpath.join(name, member.name))
                    )
        return
    kind = _format(_place(archive))
    if not kind and "uri" in archive:
        raise EngineError(
            f"{archive['uri']} is not an archive: its name must end in one of "
            f"{', '.join(_FORMATS)}."
        )
    if not kind:
        yield from _of_folder(folder / str(archive["path"]))
        return
    with _of_file("", archive, folder).open() as file:
        yield from _of_zip(file) if kind == "zip" else _of_tar(file, kind)


def _of_folder(root: Path) -> Iterator[_Member]:
    if not root.is_dir():
        root.stat()
        raise EngineError(
            f"The archive {root} is neither a directory nor a file that ends in "
            f"{', '.join(_FORMATS)}."
        )
    # Like the Pulumi engine, do not follow links to directories, not even at the top.
    for path in [] if root.is_symlink() else _files(root):
        status = path.stat()
        if not stat.S_ISDIR(status.st_mode):
            name, opener = path.relative_to(root).as_posix(), partial(_open, path)
            yield _Member(name, status.st_size, opener)


def _files(folder: Path) -> Iterator[Path]:
    """Yield all files of a directory, sorted by the bytes of their paths."""
    if folder.name == _IGNORED:
        return
    for entry in sorted(os.scandir(folder), key=lambda entry: os.fsencode(entry.name)):
        if entry.is_dir(follow_symlinks=False):
            yield from _files(folder / entry.name)
        elif entry.name != _IGNORED:
            yield folder / entry.name


def _of_zip(file: IO[bytes]) -> Iterator[_Member]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                name = posixpath.normpath(info.filename)
                yield _Member(name, info.file_size, lambda info=info: archive.open(info))  # type: ignore[misc]


def _of_tar(file: IO[bytes], kind: str) -> Iterator[_Member]:
    with tarfile.open(fileobj=file, mode="r:gz" if kind == "tgz" else "r:") as archive:
        for info in archive:
            if info.isdir():
                continue
            content = archive.extractfile(info) if info.isreg() else None
            if content is None:
                raise EngineError(
                    f"The archive contains {info.name}, which is neither a file nor a directory."
                )
            name = posixpath.normpath(info.name)
            yield _Member(name, info.size, lambda content=content: content)  # type: ignore[misc]


# Wire format


def without_contents(value: Any) -> Any:
    """Return a copy with hashes instead of contents, which is enough to compare."""
    if isinstance(value, Secret):
        return Secret(without_contents(value.value))
    if isinstance(value, Output):
        return Output(without_contents(value.value), value.dependencies)
    if isinstance(value, list):
        return [without_contents(item) for item in value]
    if not isinstance(value, dict):
        return value
    if is_asset(value):
        return {key: value[key] for key in (SIGNATURE, "hash") if key in value}
    return {key: without_contents(item) for key, item in value.items()}


def restore_contents(results: Properties, originals: Mapping[str, Any]) -> Properties:
    """Return what a provider read, with the contents that it did not send back."""
    contents: dict[tuple[str, str], Any] = {}
    _collect(dict(originals), contents)
    return {key: _restored(value, contents) for key, value in results.items()}


def _collect(value: Any, contents: dict[tuple[str, str], Any]) -> None:
    if isinstance(value, Secret | Output):
        _collect(value.value, contents)
    elif isinstance(value, list):
        for item in value:
            _collect(item, contents)
    elif is_asset(value):
        contents[value[SIGNATURE], str(value.get("hash"))] = value
    elif isinstance(value, dict):
        for item in value.values():
            _collect(item, contents)


def _restored(value: Any, contents: Mapping[tuple[str, str], Any]) -> Any:
    if isinstance(value, Secret):
        return Secret(_restored(value.value, contents))
    if isinstance(value, list):
        return [_restored(item, contents) for item in value]
    if not isinstance(value, dict):
        return value
    if is_asset(value):
        bare = not any(value.get(key) for key in ("text", "path", "uri", "assets"))
        return contents.get((value[SIGNATURE], str(value.get("hash"))), value) if bare else value
    return {key: _restored(item, contents) for key, item in value.items()}

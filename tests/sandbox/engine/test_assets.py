"""Assets and archives: hashes, differences, display, unreadable files."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from sandbox.engine.errors import EngineError
from sandbox.engine.state.assets import with_hashes
from sandbox.engine.state.property_values import ARCHIVE, ASSET, SIGNATURE
from sandbox.engine.state.tar_stream import TarStream
from tests.sandbox.engine.recording_provider import Kit
from tests.sandbox.engine.workspace import Workspace, messages

# Hashes of the Pulumi CLI: of nothing, and of a directory whose names need every kind of header.
EMPTY = "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
NAMES = (
    "a.txt",
    "B.txt",
    "sub/c",
    "sub.txt",
    "empty",
    "ü name",
    "sub/deeper/" + "n" * 90,
    "w" * 99,
    "é" * 60,
    "z" * 98 + "/" + "é" * 20,
    "p" * 80 + "/" + "q" * 60 + "/" + "r" * 50,
    "p" * 80 + "/" + "s" * 120,
)
HASH_OF_NAMES = "3e86ecb2e348da998f7af7e81398a961a1fbc4a53b9ce82675434e995a48f4e7"


def archive(**source: object) -> dict[str, object]:
    return {SIGNATURE: ARCHIVE, **source}


def text(content: str) -> dict[str, object]:
    return {SIGNATURE: ASSET, "text": content}


def digest(value: dict[str, object], folder: Path) -> str:
    return str(with_hashes({"it": value}, folder)["it"]["hash"])


def test_asset_hash_is_the_sha256_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"\x00\xff")
    assert digest(text("häh"), tmp_path) == hashlib.sha256("häh".encode()).hexdigest()
    assert (
        digest({SIGNATURE: ASSET, "path": "f"}, tmp_path) == hashlib.sha256(b"\x00\xff").hexdigest()
    )
    assert (
        digest({SIGNATURE: ASSET, "uri": f"file://{tmp_path}/f"}, tmp_path)
        == hashlib.sha256(b"\x00\xff").hexdigest()
    )


def test_archive_file_is_hashed_unchanged_and_empty_archive_has_the_cli_hash(
    tmp_path: Path,
) -> None:
    (tmp_path / "x.tgz").write_bytes(b"whatever it holds")
    assert (
        digest(archive(path="x.tgz"), tmp_path) == hashlib.sha256(b"whatever it holds").hexdigest()
    )
    assert digest(archive(assets={}), tmp_path) == EMPTY


def test_archive_hash_matches_the_cli_for_every_kind_of_name(tmp_path: Path) -> None:
    for name in NAMES:
        path = tmp_path / "d" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name * 9 if name != "empty" else "")
    (tmp_path / "d" / "link").symlink_to("a.txt")
    (tmp_path / "d" / "other").symlink_to("sub")
    (tmp_path / "linked").symlink_to("d")
    assert digest(archive(path="d"), tmp_path) == HASH_OF_NAMES
    assert digest(archive(path="linked"), tmp_path) == EMPTY


def test_directory_and_individual_files_have_the_same_hash(tmp_path: Path) -> None:
    (tmp_path / "d" / "sub").mkdir(parents=True)
    (tmp_path / "d" / ".pulumi").mkdir()
    for name, content in {"b": "B", "sub/c": "C", "sub.d": "D", ".pulumi/state": "S"}.items():
        (tmp_path / "d" / name).write_text(content)
    whole = digest(archive(path="d"), tmp_path)
    parts = archive(
        assets={"b": text("B"), "sub.d": text("D"), "sub": archive(assets={"c": text("C")})}
    )
    # A directory's files are sorted by directory and name, an archive's by name only.
    assert digest(archive(assets={"b": text("B"), "x": archive(path="d/sub")}), tmp_path) != whole
    assert digest(parts, tmp_path) == whole
    (tmp_path / "d" / ".pulumi" / "state").write_text("another")
    assert digest(archive(path="d"), tmp_path) == whole
    (tmp_path / "d" / "b").rename(tmp_path / "d" / "a")
    assert digest(archive(path="d"), tmp_path) != whole


def test_nested_zip_and_tar_files_are_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as packed:
        packed.writestr("one/", "")
        packed.writestr("one/x", "X")
    with tarfile.open(tmp_path / "t.tar.gz", "w:gz") as tar:
        member = tarfile.TarInfo("./one/x")
        member.size = 1
        tar.addfile(member, io.BytesIO(b"X"))
    unpacked = digest(archive(assets={"in": archive(assets={"one/x": text("X")})}), tmp_path)
    for name in ("z.zip", "t.tar.gz"):
        assert digest(archive(assets={"in": archive(path=name)}), tmp_path) == unpacked


@pytest.mark.parametrize(
    "name",
    [
        "short",
        "ü",
        "d" * 70 + "/" + "e" * 90,
        "d" * 160 + "/" + "e" * 90,
        "f" * 101,
        "g/" * 90 + "é" * 150,
    ],
)
def test_hashed_stream_is_a_valid_tar_file(name: str) -> None:
    stream, data = io.BytesIO(), b"x" * 700
    tar = TarStream(stream.write)
    member = tar.add(name, len(data))
    member.write(data)
    member.close()
    tar.close()
    stream.seek(0)
    with tarfile.open(fileobj=stream) as read:
        (result,) = read.getmembers()
        content = read.extractfile(result)
        assert content is not None
        assert (result.name, result.size, result.mode, content.read()) == (name, 700, 0o600, data)


def test_asset_diff_compares_content_and_lists_members(workspace: Workspace, kit: Kit) -> None:
    program = """
        import pathlib
        from pulumi import AssetArchive, FileArchive, FileAsset, StringAsset
        pathlib.Path("d").mkdir(exist_ok=True)
        pathlib.Path("d/x").write_text("WORD")
        pathlib.Path("same").write_text("WORD")
        Thing("a", one=FileAsset("PLACE"), folder=FileArchive("d"), secret=pulumi.Output.secret(StringAsset("hush WORD")),
              made=AssetArchive({"t": StringAsset("WORD"), "u": StringAsset("always"), "d": FileArchive("d")}))
        pulumi.export("folder", FileArchive("d"))
    """
    workspace.program(program.replace("WORD", "one").replace("PLACE", "d/x"))
    workspace.json("up")
    assert "hush" not in workspace.state_file.read_text()
    remaining = workspace.resources()["a"]["inputs"]["one"]
    assert remaining == {
        SIGNATURE: ASSET,
        "path": "d/x",
        "hash": hashlib.sha256(b"one").hexdigest(),
    }
    workspace.program(program.replace("WORD", "one").replace("PLACE", "same"))
    assert workspace.changes("preview") == {}
    assert workspace.changes("refresh") == {}
    workspace.program(program.replace("WORD", "two").replace("PLACE", "d/x"))
    (step,) = workspace.json("preview")["steps"]
    shown = {item["path"]: (item["old"], item["new"]) for item in step["changes"]}
    one, two = (hashlib.sha256(word.encode()).hexdigest()[:7] for word in ("one", "two"))
    assert shown["one"] == (f"asset(file:{one}) d/x", f"asset(file:{two}) d/x")
    assert shown["made.t"] == (f"asset(text:{one})", f"asset(text:{two})")
    assert shown["secret"] == ("[secret]", "[secret]")
    assert sorted(shown) == ["folder", "made.d", "made.t", "one", "secret"]
    printed = workspace.run("preview", "--diff").stdout
    assert f"one: asset(file:{one}) d/x => asset(file:{two}) d/x" in printed
    assert "folder : archive(file:" in printed


def test_diff_read_and_delete_send_no_asset_contents(workspace: Workspace, kit: Kit) -> None:
    workspace.program('Thing("a", one=pulumi.StringAsset("some text"), v=1)')
    workspace.json("up")
    assert kit.named("a")[0]["one"]["text"] == "some text"
    workspace.program('Thing("a", one=pulumi.StringAsset("some text"), v=2)')
    assert workspace.changes("up") == {"update": 1}
    # A provider that returns assets without contents, as real ones do.
    bare = {key: item for key, item in kit.named("a")[0]["one"].items() if key != "text"}
    next(iter(kit.things.values()))["one"] = bare
    workspace.json("refresh")
    assert workspace.resources()["a"]["inputs"]["one"]["text"] == "some text"
    assert workspace.resources()["a"]["outputs"]["one"]["text"] == "some text"


def test_remote_assets_are_fetched_in_every_run(
    workspace: Workspace, server: str, tmp_path: Path
) -> None:
    (tmp_path / "remote" / "f").write_text("one")
    (tmp_path / "remote" / "z.zip").write_bytes(b"packed")
    workspace.program(
        f'Thing("a", f=pulumi.RemoteAsset("{server}/f"), '
        f'z=pulumi.RemoteArchive("{server}/z.zip?x=1"))'
    )
    (tmp_path / "remote" / "z.zip?x=1").write_bytes(b"packed")
    workspace.json("up")
    remaining = workspace.resources()["a"]["inputs"]
    assert remaining["f"] == {
        SIGNATURE: ASSET,
        "uri": f"{server}/f",
        "hash": hashlib.sha256(b"one").hexdigest(),
    }
    assert remaining["z"]["hash"] == hashlib.sha256(b"packed").hexdigest()
    assert workspace.changes("preview") == {}
    (tmp_path / "remote" / "f").write_text("two")
    assert workspace.changes("preview") == {"update": 1}
    (tmp_path / "remote" / "f").unlink()
    assert f"The asset {server}/f cannot be fetched: Not Found." in messages(
        workspace.json("up", expect=1)
    )


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (archive(path="nowhere"), "nowhere cannot be read: No such file or directory"),
        (archive(path="file"), "file is neither a directory nor a file that ends in .tar,"),
        (archive(assets={"in": archive(path="bad.zip")}), "cannot be read: File is not a zip file"),
        (
            archive(assets={"in": "no asset"}),
            "The archive's member 'in' is neither an asset nor an archive",
        ),
        (
            archive(uri="http://127.0.0.1/x"),
            "http://127.0.0.1/x is not an archive: its name must end in one of .tar,",
        ),
        ({SIGNATURE: ASSET, "path": "folder"}, "is a directory; use a FileArchive"),
        (
            {SIGNATURE: ASSET, "uri": "ftp://host/x"},
            "ftp://host/x cannot be fetched: only http, https and file",
        ),
        ({SIGNATURE: ASSET, "uri": "file://host/x"}, "names the host 'host'"),
        (
            {SIGNATURE: ASSET, "uri": "http://127.0.0.1:1/x"},
            "http://127.0.0.1:1/x cannot be fetched: ",
        ),
    ],
)
def test_unreadable_asset_is_reported(tmp_path: Path, value: dict[str, object], told: str) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "bad.zip").write_text("x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(EngineError) as caught:
        digest(value, tmp_path)
    assert told in str(caught.value)


def test_link_in_a_nested_tar_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "elsewhere"
        tar.addfile(link)
    with pytest.raises(EngineError, match="contains link, which is neither a file nor a directory"):
        digest(archive(assets={"in": archive(path="t.tar")}), tmp_path)
    assert (
        digest(archive(path="t.tar"), tmp_path)
        == hashlib.sha256((tmp_path / "t.tar").read_bytes()).hexdigest()
    )

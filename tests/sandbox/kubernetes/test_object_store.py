"""The store of a cluster's objects: damaged databases are named with file and remedy."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.kubernetes.cluster_host import repair
from sandbox.kubernetes.storage.object_store import Key, ObjectStore
from sandbox.runtime.damage import DamagedFileError

KEY = Key("configmaps", "default", "c")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def flip(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"precious", b"previous"))


def drop_table(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("UPDATE objects SET document = '{'")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    directory = tmp_path / "clusters" / "one"
    store = ObjectStore(directory / "objects.sqlite")
    store.put(KEY, {"metadata": {"name": "c"}, "data": {"key": "precious"}})
    store.close()
    (directory / "facts.json").write_text("{}")
    return directory / "objects.sqlite"


@pytest.mark.parametrize("damage", [truncate, flip, drop_table])
def test_damaged_database_is_named_and_repaired(
    database: Path, damage: Callable[[Path], None]
) -> None:
    damage(database)
    with pytest.raises(DamagedFileError) as refusal:
        ObjectStore(database)
    assert str(refusal.value).startswith(f"{database} is damaged: ")
    assert "`python -m sandbox repair`" in str(refusal.value)
    moved = repair(database.parents[2])  # the facts are no description of a cluster either
    assert [path.name.partition("-")[0] for path in moved] == ["facts.damaged", "objects.damaged"]
    assert all(path.exists() for path in moved)
    store = ObjectStore(database)
    assert store.list_keys() == []
    store.close()


def test_database_of_an_older_version_is_read(database: Path) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("ALTER TABLE objects DROP COLUMN checksum")
    connection.close()
    store = ObjectStore(database)
    assert store.exists(KEY)
    store.put(Key("configmaps", "default", "d"), {"metadata": {"name": "d"}})
    store.close()
    assert len(ObjectStore(database).list_keys()) == 2

"""Who can connect to an instance's server, how, and with which rights."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from sandbox.runtime.certificate_authority import CertificateAuthority
from tests.sandbox.databases.conftest import FACTS, PASSWORD, SECOND, Databases


def test_master_user_connects_with_verified_certificate_and_owns_the_database(
    databases: Databases,
) -> None:
    state = databases.create(FACTS)
    assert state.status == "available", state.reason
    assert databases.query(
        FACTS, "SELECT current_user, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    ) == [("platform", True)]
    role = "SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = current_user"
    assert databases.query(FACTS, role) == [(False, True, True)]
    databases.query(FACTS, "CREATE TABLE t (i int)")
    databases.query(FACTS, "CREATE ROLE reader LOGIN")
    databases.query(FACTS, "CREATE DATABASE other")


def test_unencrypted_connection_wrong_password_and_administrator_are_refused(
    databases: Databases,
) -> None:
    databases.create(FACTS)
    with pytest.raises(psycopg.OperationalError, match="no encryption"):
        databases.query(FACTS, "SELECT 1", sslmode="disable")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        databases.query(FACTS, "SELECT 1", password="wrong")
    with pytest.raises(psycopg.OperationalError, match="rejects connection"):
        databases.query(FACTS, "SELECT 1", user="rdsadmin", password="")
    databases.create(replace(FACTS, parameters={"rds.force_ssl": "0"}))
    assert databases.query(FACTS, "SELECT 1", sslmode="disable") == [(1,)]


def test_certificate_is_of_the_endpoint_and_of_this_authority(
    databases: Databases, tmp_path: Path
) -> None:
    databases.create(FACTS)
    with pytest.raises(psycopg.OperationalError, match="does not match host name"):
        databases.query(FACTS, "SELECT 1", host="other.example")
    other = CertificateAuthority(tmp_path).certificate
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        databases.query(FACTS, "SELECT 1", sslrootcert=str(other))


def test_new_password_replaces_the_old_one_and_no_file_contains_either(
    databases: Databases,
) -> None:
    databases.create(replace(FACTS, parameters={"log_statement": "all"}))
    changed = replace(FACTS, password="another-secret-1147", parameters={"log_statement": "all"})
    databases.create(changed)
    assert databases.query(changed, "SELECT 1") == [(1,)]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        databases.query(FACTS, "SELECT 1")
    for file in databases.directory.rglob("*"):
        if file.is_file() and not file.is_symlink():
            content = file.read_bytes()
            assert PASSWORD.encode() not in content, file
            assert changed.password.encode() not in content, file


def test_instances_listen_on_loopback_addresses_of_their_own_with_the_same_port(
    databases: Databases,
) -> None:
    databases.create(FACTS)
    databases.create(SECOND)
    addresses = databases.host.addresses()
    assert set(addresses) == {FACTS.host_name, SECOND.host_name}
    assert len(set(addresses.values())) == 2
    assert all(address.startswith("127.80.") for address in addresses.values())
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", FACTS.port), timeout=5)


def test_renamed_instance_has_a_certificate_of_its_new_endpoint(databases: Databases) -> None:
    databases.create(FACTS)
    databases.query(FACTS, "CREATE TABLE t AS SELECT 7 AS i")
    renamed = replace(FACTS, identifier="new", host_name="new.example")
    databases.create(renamed)
    assert databases.query(renamed, "SELECT i FROM t") == [(7,)]
    assert set(databases.host.addresses()) == {"new.example"}

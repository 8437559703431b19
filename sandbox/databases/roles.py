"""SQL that creates the roles and the database of an instance, as RDS has them.

Passwords are SCRAM verifiers, so that neither the server's log nor its catalog has the password.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

from sandbox.contracts.database_host import DatabaseFacts

_ITERATIONS = 4096  # PostgreSQL's default
# Those of RDS's rds_superuser that PostgreSQL has predefined roles for.
_PREDEFINED = (
    "pg_monitor",
    "pg_signal_backend",
    "pg_checkpoint",
    "pg_maintain",
    "pg_use_reserved_connections",
    "pg_create_subscription",
)


def role_statements(facts: DatabaseFacts) -> str:
    """Return idempotent statements for psql that create the master user and set its password."""
    user, verifier = identifier(facts.username), literal(scram_verifier(facts.password))
    names = ", ".join(map(literal, _PREDEFINED))
    return f"""
SET client_min_messages = warning;
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';
SELECT format('CREATE ROLE %I NOLOGIN', name) FROM (VALUES ('rds_superuser')) AS r (name)
  WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \\gexec
SELECT format('GRANT %I TO rds_superuser WITH ADMIN OPTION', rolname) FROM pg_roles
  WHERE rolname IN ({names}) \\gexec
SELECT {literal(f"CREATE ROLE {user}")}
  WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {literal(facts.username)}) \\gexec
ALTER ROLE {user} LOGIN CREATEDB CREATEROLE NOSUPERUSER PASSWORD {verifier};
GRANT rds_superuser TO {user};
"""  # noqa: S608 - every value is quoted


def database_statements(facts: DatabaseFacts) -> str:
    """Return the statements that create the instance's database and give both to the master."""
    user, statements = identifier(facts.username), ""
    if facts.name and facts.name != "postgres":
        statements = f"CREATE DATABASE {identifier(facts.name)} OWNER {user};\n"
    return f"{statements}ALTER DATABASE postgres OWNER TO {user};\n"


def scram_verifier(password: str) -> str:
    """Return the value that PostgreSQL stores for a password (RFC 5803)."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    encoded = [base64.b64encode(item).decode() for item in (salt, stored_key, server_key)]
    return f"SCRAM-SHA-256${_ITERATIONS}:{encoded[0]}${encoded[1]}:{encoded[2]}"


def identifier(name: str) -> str:
    """Quote an identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """Quote a string."""
    return "'" + value.replace("'", "''") + "'"

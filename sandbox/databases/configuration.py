"""PostgreSQL's configuration: parameters of the parameter group, and who may connect how."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from sandbox.contracts.database_host import DatabaseFacts
from sandbox.databases.errors import ServerError
from sandbox.databases.programs import Programs

ADMINISTRATOR = "rdsadmin"
# The prefix of RDS: time, client, user and database, process.
LOG_LINE_PREFIX = "%t:%r:%u@%d:[%p]:"
# RDS does not let a parameter group set these, and the sandbox sets them.
_OWN = frozenset(
    {
        "archive_command",
        "archive_library",
        "archive_mode",
        "config_file",
        "data_directory",
        "dynamic_library_path",
        "external_pid_file",
        "hba_file",
        "ident_file",
        "listen_addresses",
        "log_destination",
        "log_directory",
        "log_filename",
        "log_line_prefix",
        "logging_collector",
        "port",
        "restore_command",
        "ssl",
        "ssl_ca_file",
        "ssl_cert_file",
        "ssl_key_file",
        "syslog_facility",
        "unix_socket_directories",
        "unix_socket_group",
        "unix_socket_permissions",
    }
)
_FORCE_SSL = "rds.force_ssl"
_FORCED_SINCE = 15  # RDS's default of rds.force_ssl is 1 from this major version on


def server_configuration(
    facts: DatabaseFacts,
    parameters: Mapping[str, str],
    programs: Programs,
    *,
    directory: Path,
    address: str,
) -> str:
    """Return the content of postgresql.conf.

    Formulas (`{DBInstanceClassMemory/…}`) and parameters unknown to this PostgreSQL keep
    PostgreSQL's default. Raises ServerError.
    """
    supported = _known_parameters(programs["postgres"])
    settings = {
        "data_directory": str(directory / "data"),
        "hba_file": str(directory / "pg_hba.conf"),
        "listen_addresses": address,
        "port": str(facts.port),
        "unix_socket_directories": ".",  # the data directory: a path may be too long for a socket
        "unix_socket_permissions": "0700",
        "ssl": "on",
        "ssl_cert_file": str(directory / "server.crt"),
        "ssl_key_file": str(directory / "server.key"),
        "password_encryption": "scram-sha-256",
        "log_destination": "stderr",
        "log_line_prefix": LOG_LINE_PREFIX,
        "log_timezone": "UTC",
        "timezone": "UTC",
    }
    for name, value in sorted(parameters.items()):
        if name in _OWN or name.startswith("rds.") or "{" in value:
            continue
        if name == "shared_preload_libraries":
            libraries = [item.strip() for item in value.split(",") if item.strip()]
            settings[name] = ",".join(filter(programs.has_library, libraries))
        elif name in supported or "." in name:
            settings[name] = value
    return "".join(f"{name} = {_quote(name, value)}\n" for name, value in settings.items())


def client_authentication(facts: DatabaseFacts, parameters: Mapping[str, str]) -> str:
    """Return the content of pg_hba.conf: the administrator locally, everybody else over TCP.

    The socket is in a directory that only the server's user can enter.
    """
    default = "1" if int(facts.engine_version.partition(".")[0]) >= _FORCED_SINCE else "0"
    forced = parameters.get(_FORCE_SSL, default) in {"1", "on", "true"}
    kind = "hostssl" if forced else "host"
    return (
        f"local all {ADMINISTRATOR} trust\n"
        f"local replication {ADMINISTRATOR} trust\n"
        f"host all {ADMINISTRATOR} all reject\n"
        f"{kind} all all all scram-sha-256\n"
    )


def _quote(name: str, value: str) -> str:
    if "\n" in value or "\0" in value:
        raise ServerError(
            "incompatible-parameters", f"parameter {name} contains a line break; remove it"
        )
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


@cache
def _known_parameters(postgres: str) -> frozenset[str]:
    command = [postgres, "--describe-config"]
    output = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return frozenset(line.partition("\t")[0] for line in output.splitlines())

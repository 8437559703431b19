"""`psql`: connect to the database of a stack."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Sequence
from typing import Any

import boto3
import click

from sandbox.cli import options
from sandbox.cli.output import WRONG_USE, Output
from sandbox.cli.stacks import require_state
from sandbox.databases.errors import ServerError
from sandbox.databases.programs import client as client_program
from sandbox.engine import export_stack
from sandbox.runtime.certificate_authority import CertificateAuthority
from sandbox.runtime.session import Session

_STARTING = ("creating", "modifying", "rebooting", "starting")
_START_SECONDS = 60.0
_TYPE = "aws:rds/instance:Instance"


@click.command()
@options.stack
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.option("--database", metavar="IDENTIFIER", help="The DB instance, if STACK has several.")
def psql(stack: str, arguments: Sequence[str], database: str | None) -> None:
    """Run psql on STACK's database, as its master user: psql STACK -- -c 'SELECT 1'."""
    output = Output(as_json=False)
    home, project, passphrase = require_state(stack)
    state = export_stack(home.state, project, stack, passphrase, show_secrets=True)
    instances = {
        str(resource["outputs"]["identifier"]): resource["outputs"]
        for resource in state["deployment"].get("resources") or []
        if resource["type"] == _TYPE and resource.get("outputs")
    }
    names = ", ".join(sorted(instances)) or "none"
    if database is None and len(instances) == 1:
        database = next(iter(instances))
    if database not in instances:
        output.fail(
            f"stack {stack} has no single database; choose one with --database: {names}", WRONG_USE
        )
    session = Session.open(home, stack)
    variables = session.running.environment(home, session.file.region)
    instance = _describe(variables, database)
    host_name, port = instance["Endpoint"]["Address"], instance["Endpoint"]["Port"]
    addresses = json.loads((home.databases / "addresses.json").read_text())
    if instance["DBInstanceStatus"] != "available" or host_name not in addresses:
        output.fail(
            f"DB instance {database} is {instance['DBInstanceStatus']}, not available; "
            f"its events have the reason: aws rds describe-events"
        )
    try:
        program = client_program(instance["EngineVersion"].partition(".")[0])
    except ServerError as error:
        output.fail(error.reason)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")} | {
        "PGHOST": host_name,
        "PGHOSTADDR": addresses[host_name],
        "PGPORT": str(port),
        "PGUSER": instance["MasterUsername"],
        "PGDATABASE": instance.get("DBName") or "postgres",
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": str(CertificateAuthority(home.certificate_authority).certificate),
        "PGPASSWORD": _password(variables, instance, instances[database]),
    }
    # psql, not this process, handles Ctrl-C.
    process = subprocess.Popen([program, *arguments], env=environment)
    while True:
        try:
            raise SystemExit(process.wait())
        except KeyboardInterrupt:
            continue


def _client(service: str, variables: dict[str, str]) -> Any:
    return boto3.client(
        service,
        region_name=variables["AWS_REGION"],
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
    )


def _describe(variables: dict[str, str], identifier: str) -> dict[str, Any]:
    """Return the instance, after its start."""
    rds, deadline = _client("rds", variables), time.monotonic() + _START_SECONDS
    while True:
        instances = rds.describe_db_instances(DBInstanceIdentifier=identifier)["DBInstances"]
        starting = instances[0]["DBInstanceStatus"] in _STARTING
        if not starting or time.monotonic() > deadline:
            return dict(instances[0])
        time.sleep(0.1)


def _password(variables: dict[str, str], instance: dict[str, Any], outputs: dict[str, Any]) -> str:
    """Return the master user's password, from Secrets Manager or the stack's state."""
    if "MasterUserSecret" not in instance:
        return str(outputs.get("password") or "")
    manager = _client("secretsmanager", variables)
    secret = manager.get_secret_value(SecretId=instance["MasterUserSecret"]["SecretArn"])
    return str(json.loads(secret["SecretString"])["password"])

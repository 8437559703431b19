"""`make bootstrap`: create the bootstrap stack with local state, then move its state to the bucket.

Runs in the sandbox, with the Pulumi CLI or the embedded engine, or with `--aws` in the account of
the caller's credentials. A further run updates the stack, and changes nothing if nothing changed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import boto3
import yaml
from botocore.exceptions import BotoCoreError, ClientError

from bootstrap.engines import EmbeddedEngine, Engine, EngineFailedError, PulumiCli

DIRECTORY = Path(__file__).parent
STACK = "main"
LOCAL = ".bootstrap"
KEY_ALIAS = "pulumi"
EXPLANATION = """\
Bootstrap of account {account}, region {region}, with {engine}:
  1. create bucket {bucket} and key alias/{alias}, the roles of GitHub Actions for
     {repository} ({environments}) and the connection to GitHub, with the state in {local}
  2. move that state into the bucket
  3. check that nothing is left to change
"""
NEXT_STEPS = """
Variables of the repository {repository} (docs/github.md):
  AWS_REGION          {region}
  PULUMI_BACKEND_URL  {backend}
  PREVIEW_ROLE        {preview_role}
{deploy_roles}
The roles trust workflows whose OIDC subject begins with {subject}: . If GitHub puts IDs into
yours (bootstrap/README.md), set bootstrap:repository_ids and run this again.

In each stack file:
  platform:aws.permissions_boundary              {boundary}
  platform:pipeline.source.connection_arn        {connection}
Without GitHub Actions (docs/github.md):
  platform:pipeline.preview.state_bucket         {bucket}
  platform:pipeline.preview.state_key_arn        {state_key}
New stacks:
  pulumi login '{backend}'
  pulumi stack init dev --secrets-provider '{secrets}'
Accept the connection once in the console: Developer Tools, Settings, Connections.
"""


@dataclass(frozen=True, kw_only=True)
class Account:
    """Where the stack is created: variables of its clients, and the names that follow from it."""

    variables: Mapping[str, str]
    number: str
    region: str
    prefix: str
    local: Path
    emulated: bool
    """Whether it is the sandbox's, whose key does not belong into the repository."""

    @property
    def bucket(self) -> str:
        """The bucket of the state; state_store.py gives it this name."""
        return f"{self.prefix}-state-{self.number}-{self.region}"

    @property
    def backend(self) -> str:
        """The URL of the state in the bucket."""
        return f"s3://{self.bucket}?region={self.region}"

    @property
    def secrets_provider(self) -> str:
        """The URL of the key of secrets."""
        return f"awskms://alias/{KEY_ALIAS}?region={self.region}"

    def holds_state(self) -> bool:
        """Whether the bucket has the bootstrap stack."""
        key = f".pulumi/stacks/bootstrap/{STACK}.json"
        try:
            _client(self.variables, "s3", self.region).head_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return False
            raise
        return True


def _client(variables: Mapping[str, str], service: str, region: str) -> Any:
    """Return a client of the sandbox's account, or with the caller's credentials."""
    if "AWS_ENDPOINT_URL" not in variables:
        return boto3.client(service, region_name=region)
    return boto3.client(
        service,
        region_name=region,
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
    )


def _sandbox_variables() -> dict[str, str]:
    """Start the sandbox; return the variables of its clients."""
    command = [sys.executable, "-m", "sandbox", "env", "dev", "--json"]
    ran = subprocess.run(command, cwd=DIRECTORY.parent, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise EngineFailedError(ran.stderr.strip() or "the sandbox did not start")
    document = json.loads(ran.stdout)
    inherited = {key: value for key, value in os.environ.items() if key not in document["unset"]}
    own = dict(document["variables"])
    for key in ("PULUMI_OPTION_CONFIG_FILE", "PULUMI_STACK", "PULUMI_CONFIG_PASSPHRASE_FILE"):
        own.pop(key, None)
    return inherited | own


def _configuration() -> dict[str, Any]:
    """Return the stack file's values, by key without the project's name."""
    file = DIRECTORY / f"Pulumi.{STACK}.yaml"
    try:
        config = (yaml.safe_load(file.read_text()) or {})["config"]
        values = {key.removeprefix("bootstrap:"): value for key, value in config.items()}
        _ = values["region"], values["repository"], list(values["environments"])
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise EngineFailedError(
            f"{file}: `config` must have bootstrap:region, bootstrap:repository and "
            f"bootstrap:environments ({error}). bootstrap/README.md has an example."
        ) from error
    return values


def _engine(choice: str, variables: Mapping[str, str], *, on_aws: bool) -> Engine:
    path = shutil.which("pulumi") or (None if on_aws else _built())
    if on_aws and path is None:
        raise EngineFailedError(
            "--aws needs the Pulumi CLI on PATH: https://www.pulumi.com/docs/install/"
        )
    if choice == "pulumi" and path is None:
        raise EngineFailedError("--engine pulumi needs the Pulumi CLI: make pulumi")
    if path is None or (choice == "embedded" and not on_aws):
        return EmbeddedEngine(DIRECTORY, variables)
    return PulumiCli(DIRECTORY, variables, path)


def _built() -> str | None:
    """Return the CLI that `make pulumi` built."""
    code = "from sandbox.runtime.pulumi_build import built; print(built() or '')"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return ran.stdout.strip() or None


def bootstrap(account: Account, engine: Engine) -> dict[str, Any]:
    """Create or update the stack; return its outputs. Raises EngineFailedError."""
    source = DIRECTORY / f"Pulumi.{STACK}.yaml"
    if account.holds_state():
        _say(f"The state is in {account.backend}.")
    else:
        _say("1. Creating the resources.")
        account.local.mkdir(parents=True, exist_ok=True)
        copy = account.local / source.name
        shutil.copyfile(source, copy)
        local = engine.at(account.local.as_uri(), copy, passphrase="")
        local.init(STACK, "passphrase")
        local.up(STACK)
        _say(f"2. Moving the state to {account.backend}.")
        exported = account.local / "state.json"
        exported.write_text(local.export(STACK))
        remote = engine.at(account.backend, _remote_file(account, source), passphrase="")
        remote.import_(STACK, exported, account.secrets_provider)
    remote = engine.at(account.backend, _remote_file(account, source), passphrase=None)
    moved = account.local.joinpath(".pulumi").exists()
    _say("3. Comparing the resources with the program." if moved else "Updating the resources.")
    remote.up(STACK, expect_no_changes=moved)
    shutil.rmtree(account.local / ".pulumi", ignore_errors=True)
    (account.local / "state.json").unlink(missing_ok=True)
    return remote.outputs(STACK)


def _remote_file(account: Account, source: Path) -> Path:
    """Return the stack file or its copy; it names the key, and the CLI adds the data key."""
    file = source
    if account.emulated:
        file = account.local / "remote" / source.name
        file.parent.mkdir(parents=True, exist_ok=True)
        previous = yaml.safe_load(file.read_text()) if file.exists() else {}
        key = previous.get("encryptedkey")
        file.write_text(source.read_text() + (f"encryptedkey: {key}\n" if key else ""))
    content = file.read_text()
    if "secretsprovider" not in yaml.safe_load(content):
        file.write_text(f"{content}secretsprovider: {account.secrets_provider}\n")
    return file


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="make bootstrap ARGS=…", description=__doc__)
    parser.add_argument("--aws", action="store_true", help="use the caller's AWS credentials")
    parser.add_argument("--engine", choices=["auto", "pulumi", "embedded"], default="auto")
    options = parser.parse_args(arguments)
    try:
        _run(on_aws=options.aws, choice=options.engine)
    except EngineFailedError as error:
        _fail(str(error))
    except (BotoCoreError, ClientError) as error:
        _fail(f"AWS refused a request: {error}. Check the credentials and the region.")


def _run(*, on_aws: bool, choice: str) -> None:
    configuration = _configuration()
    variables = dict(os.environ) if on_aws else _sandbox_variables()
    region = str(configuration["region"])
    variables |= {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
    home = Path(variables.get("SANDBOX_HOME") or DIRECTORY.parent / ".sandbox")
    account = Account(
        variables=variables,
        number=_client(variables, "sts", region).get_caller_identity()["Account"],
        region=region,
        prefix=str(configuration.get("prefix") or "platform"),
        local=DIRECTORY / LOCAL if on_aws else home / "bootstrap",
        emulated=not on_aws,
    )
    engine = _engine(choice, variables, on_aws=on_aws)
    environments = ", ".join(map(str, configuration["environments"]))
    _say(
        EXPLANATION.format(
            account=account.number if on_aws else f"{account.number} of the sandbox",
            region=region,
            engine=engine.name,
            bucket=account.bucket,
            alias=KEY_ALIAS,
            repository=configuration["repository"],
            environments=environments,
            local=account.local,
        )
    )
    outputs = bootstrap(account, engine)
    deploy_roles = "".join(
        f"  DEPLOY_ROLE         {arn} (environment {name})\n"
        for name, arn in outputs["deploy_roles"].items()
    )
    _say(
        NEXT_STEPS.format(
            repository=configuration["repository"],
            region=region,
            backend=outputs["backend_url"],
            secrets=outputs["secrets_provider"],
            preview_role=outputs["preview_role"],
            deploy_roles=deploy_roles,
            subject=outputs["subject"],
            boundary=outputs["permissions_boundary"],
            connection=outputs["connection_arn"],
            bucket=account.bucket,
            state_key=outputs["state_key_arn"],
        )
    )


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()  # before the lines of child processes


def _fail(message: str) -> NoReturn:
    sys.stderr.write(f"error: {message}\n")
    raise SystemExit(1)


if __name__ == "__main__":
    main()

"""The environment is validated whole, and no secret is ever repeated."""

import subprocess
import sys
from pathlib import Path

import pytest

from app.config import Config, ConfigurationError, load
from tests.app.serving import ROOT, environment


def problems(**environ: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(environ)
    return caught.value.problems


def test_an_empty_environment_is_a_service_without_a_database() -> None:
    assert load({}) == Config()
    assert load({"DATABASE_URL": "", "APP_PORT": ""}) == Config()


def test_every_problem_is_named_at_once() -> None:
    assert problems(
        APP_PORT="eighty", APP_WORKERS="0", APP_LOG_LEVEL="loud", APP_DRAIN_SECONDS="nan", APP_IMAGE_DIGEST="latest", APP_PROT="1"
    ) == [
        "APP_IMAGE_DIGEST must be sha256: and 64 hexadecimal digits, or unset",
        "APP_PROT is not a variable of this service (app/README.md lists them)",
        "APP_PORT must be a whole number from 0 to 65535, not 'eighty'",
        "APP_WORKERS must be a whole number from 1 to 64, not '0'",
        "APP_DRAIN_SECONDS must be a number of seconds from 0 to 300, not 'nan'",
        "APP_LOG_LEVEL must be one of debug, info, warning, error, not 'loud'",
    ]  # fmt: skip


def test_an_image_may_be_named_as_kubernetes_names_it() -> None:
    digest = "sha256:" + "0" * 64
    assert load({"APP_IMAGE_DIGEST": f"registry.example/app@{digest}"}).image_digest == digest


def test_a_database_needs_all_its_parts_and_one_password() -> None:
    assert problems(DATABASE_HOST="db", DATABASE_PASSWORD="p", DATABASE_SECRET_ARN="arn") == [
        "DATABASE_PASSWORD, DATABASE_SECRET_ARN are set together: set one of them",
        "DATABASE_SECRET_ARN must be the ARN of a Secrets Manager secret",
        "DATABASE_NAME must be set too (because DATABASE_HOST is)",
    ]
    assert problems(DATABASE_USER="u", DATABASE_PASSWORD_FILE="/nowhere/password") == [
        "DATABASE_HOST must be set too (because DATABASE_USER is)",
        "DATABASE_NAME must be set too (because DATABASE_USER is)",
        "DATABASE_PASSWORD_FILE: there is no file /nowhere/password",
    ]


def test_a_database_url_gives_every_part() -> None:
    database = load({"DATABASE_URL": "postgresql://us%40er:p%2Fw@db.example:6543/gu%65st?sslmode=verify-full"}).database
    assert database is not None
    assert (database.host, database.port, database.name) == ("db.example", 6543, "guest")
    assert (database.user, database.password, database.sslmode) == ("us@er", "p/w", "verify-full")


@pytest.mark.parametrize(
    "url",
    ["mysql://u:hunter2@h/d", "postgresql://u:hunter2@h:port/d", "postgresql://u:hunter2@h/", "postgresql://u:hunter2@/d",
     "postgresql://u:hunter2@h/d?sslmode=no", "postgresql://u:hunter2@h/d?options=-c", "postgresql://:hunter2@h/d"],
)  # fmt: skip
def test_a_wrong_database_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load({"DATABASE_URL": url})
    assert "DATABASE_URL" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_password_is_not_in_the_configurations_text() -> None:
    assert "hunter2" not in repr(load({"DATABASE_URL": "postgresql://u:hunter2@h/d"}))


@pytest.mark.parametrize("command", [["-m", "app"], ["-m", "app.migrate"]])
def test_a_wrong_environment_stops_the_start_with_one_message(command: list[str], tmp_path: Path) -> None:
    wrong = environment(APP_WORKERS="many", DATABASE_URL="hunter2")
    done = subprocess.run(
        [sys.executable, *command], check=False, cwd=ROOT, env=wrong, capture_output=True, text=True, timeout=240
    )
    assert done.returncode != 0
    assert "2 problem(s)" in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr + done.stdout

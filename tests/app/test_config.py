"""The configuration: all problems are reported, no secret is."""

import subprocess
import sys

import pytest

from app.config import Config, ConfigurationError
from tests.app.conftest import load_config, load_database
from tests.app.service_process import ROOT, environment

ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:rds-abcdef"


def problems(**variables: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load_config(**variables)
    return caught.value.problems


def test_empty_environment_has_defaults_and_no_database() -> None:
    assert load_config() == Config()
    assert load_config(DATABASE_URL="", APP_PORT="") == Config()


def test_all_problems_are_reported() -> None:
    reported = problems(
        APP_PORT="eighty",
        APP_WORKERS="0",
        APP_LOG_LEVEL="loud",
        APP_IMAGE_DIGEST="latest",
        APP_PROT="1",
    )
    assert [problem.partition(":")[0] for problem in reported] == [
        "APP_PROT",
        "APP_IMAGE_DIGEST",
        "APP_PORT",
        "APP_WORKERS",
        "APP_LOG_LEVEL",
    ]


def test_image_digest_accepts_an_image_reference() -> None:
    digest = "sha256:" + "0" * 64
    config = load_config(APP_IMAGE_DIGEST=f"registry.example/app@{digest}")
    assert config.image_digest == digest


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"DATABASE_HOST": "db"}, "DATABASE_NAME: Field required"),
        ({"DATABASE_HOST": "db", "DATABASE_NAME": "d"}, "USER is required"),
        (
            {
                "DATABASE_HOST": "db",
                "DATABASE_NAME": "d",
                "DATABASE_PASSWORD": "p",
                "DATABASE_SECRET_ARN": ARN,
            },
            "set one of PASSWORD, PASSWORD_FILE and SECRET_ARN",
        ),
        (
            {"DATABASE_HOST": "db", "DATABASE_NAME": "d", "DATABASE_SECRET_ARN": "arn"},
            "DATABASE_SECRET_ARN: String should match pattern",
        ),
        (
            {"DATABASE_HOST": "db", "DATABASE_NAME": "d", "DATABASE_PASSWORD_FILE": "/nowhere"},
            "DATABASE_PASSWORD_FILE: Path does not point to a file",
        ),
        (
            {"DATABASE_URL": "postgresql://u@h/d", "DATABASE_HOST": "h"},
            "DATABASE_URL: set it or DATABASE_HOST, not both",
        ),
    ],
)
def test_incomplete_or_contradictory_database_is_refused(
    variables: dict[str, str], reason: str
) -> None:
    assert any(reason in problem for problem in problems(**variables))


def test_database_url_sets_every_field() -> None:
    url = "postgresql://us%40er:p%2Fw@db.example:6543/gu%65st?sslmode=verify-full"
    database = load_database(DATABASE_URL=url)
    assert (database.host, database.port, database.name) == ("db.example", 6543, "guest")
    assert database.password is not None
    assert (database.user, database.password.get_secret_value()) == ("us@er", "p/w")
    assert database.sslmode == "verify-full"


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:hunter2@h/d",
        "postgresql://u:hunter2@h:port/d",
        "postgresql://u:hunter2@h/",
        "postgresql://u:hunter2@/d",
        "postgresql://u:hunter2@h/d?sslmode=no",
        "postgresql://u:hunter2@h/d?options=-c",
        "postgresql://:hunter2@h/d",
    ],
)
def test_invalid_database_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_config(DATABASE_URL=url)
    assert "DATABASE_" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_password_is_not_in_the_repr_of_the_configuration() -> None:
    assert "hunter2" not in repr(load_config(DATABASE_URL="postgresql://u:hunter2@h/d"))


@pytest.mark.parametrize("module", ["app", "app.db.migrate"])
def test_invalid_environment_ends_the_process_with_one_message(module: str) -> None:
    variables = environment(APP_WORKERS="many", DATABASE_URL="hunter2")
    done = subprocess.run(
        [sys.executable, "-m", module],
        check=False,
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode != 0
    assert "its environment is invalid" in done.stderr
    assert done.stderr.count("\n  - ") == 2
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr + done.stdout

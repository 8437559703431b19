"""Secrets of the workload."""

from settings import SECRET
from settings.errors import Problem
from tests.program.running import stack_file
from tests.settings.stack_files import changed, error_of, parsed

NAMES_SECRET = {"workload.secrets": ["SENTRY_DSN"]}
SET_COMMAND = "pulumi config set --secret platform:SENTRY_DSN --stack dev"


def test_secret_that_the_workload_names_is_accepted_without_its_value() -> None:
    raw = {**changed("dev", NAMES_SECRET), "SENTRY_DSN": SECRET}
    assert parsed(raw).workload.secrets == ("SENTRY_DSN",)


def test_secret_without_value_is_refused() -> None:
    assert error_of(changed("dev", NAMES_SECRET)).problems == (
        Problem(
            path=("workload", "secrets", 0),
            message="names the secret SENTRY_DSN, which has no value",
            fixes=(SET_COMMAND,),
        ),
    )


def test_plain_text_secret_is_refused_without_being_shown() -> None:
    error = error_of({**changed("dev", NAMES_SECRET), "SENTRY_DSN": "hunter2"})
    assert error.problems == (
        Problem(
            path=("workload", "secrets", 0),
            message="names SENTRY_DSN, whose value is in the stack file in plain text",
            fixes=(SET_COMMAND,),
        ),
    )
    assert "hunter2" not in str(error)


def test_misspelled_secret_gets_the_nearest_name() -> None:
    error = error_of({**changed("dev", NAMES_SECRET), "SENTRY_DNS": SECRET})
    assert [problem.message for problem in error.problems] == [
        "names the secret SENTRY_DSN, which has no value",
        "is an unused secret: workload.secrets does not name it; did you mean SENTRY_DSN?",
    ]


def test_secret_section_is_refused() -> None:
    error = error_of({**stack_file("dev"), "database": SECRET})
    assert "is secret, but a section must not be" in str(error)

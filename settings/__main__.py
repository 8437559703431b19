"""`python -m settings`: validate a configuration without running the program.

Standard input has `project`, `stack`, `values` by full key and `secret_keys` as one JSON object;
standard output gets the problems as a JSON list of `key`, `message` and `fixes`.
"""

import json
import sys
from typing import Any

from settings.errors import Problem, SettingsError, formatted_path
from settings.load import validate


def main() -> None:
    """Print the problems of the configuration on standard input."""
    request = json.load(sys.stdin)
    project, problems = request["project"], list[dict[str, Any]]()
    try:
        validate(request["values"], request["secret_keys"], project, request["stack"])
    except SettingsError as error:
        problems = [_document(problem, project) for problem in error.problems]
    json.dump(problems, sys.stdout)


def _document(problem: Problem, project: str) -> dict[str, Any]:
    namespace = problem.namespace or project
    key = formatted_path(namespace, problem.path) if problem.path else ""
    return {"key": key, "message": problem.message, "fixes": problem.fixes}


if __name__ == "__main__":
    main()

"""Generates docs/stack-file.schema.json: the JSON Schema of `Pulumi.<stack>.yaml`, for editors.

It has the type, pattern and meaning of each key; rules between keys are in `cross_field` only.
"""

import json
from typing import Any

from pydantic.json_schema import models_json_schema

from settings.docs_table import PROJECT
from settings.sections import Settings

FILE = PROJECT / "docs" / "stack-file.schema.json"
NAMESPACE = "platform"
# Keys of a stack file besides `config` (https://www.pulumi.com/docs/iac/concepts/projects/
# stack-settings-file/).
_TEXT = {"type": "string"}
_OF_PULUMI = {
    "secretsprovider": _TEXT,
    "encryptedkey": _TEXT,
    "encryptionsalt": _TEXT,
    "environment": {},
}
_SECRET = {
    "type": "object",
    "properties": {"secure": _TEXT},
    "required": ["secure"],
    "additionalProperties": False,
}


def schema() -> dict[str, Any]:
    """Return the schema (JSON Schema 2020-12)."""
    _, document = models_json_schema([(Settings, "validation")], ref_template="#/$defs/{model}")
    definitions = document["$defs"]
    settings = definitions.pop(Settings.__name__)
    sections = {
        f"{NAMESPACE}:{name}": value
        for name, value in settings["properties"].items()
        if name not in ("project", "stack")
    }
    required = [f"{NAMESPACE}:{name}" for name in settings["required"]]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Settings of an environment",
        "type": "object",
        "properties": {
            **_OF_PULUMI,
            "config": {
                "type": "object",
                "properties": sections,
                "required": [name for name in required if name in sections],
                "patternProperties": {
                    f"^{NAMESPACE}:[A-Z][A-Z0-9_]*$": _SECRET,
                    "^pulumi:": {},
                },
                "additionalProperties": False,
            },
        },
        "required": ["config"],
        "additionalProperties": False,
        "$defs": definitions,
    }


def text() -> str:
    """Return the file's contents."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")

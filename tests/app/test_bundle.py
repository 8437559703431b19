"""The modules in one file: what was written is what is imported, and only where it fits."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.app.serving import ROOT

WRITE = "import json.tool, dependency.part, sitecustomize; sitecustomize.write()"
TELL = """
import json.tool, dependency.part, dependency.unused
for module in (json.tool, dependency, dependency.part, dependency.unused):
    print(module.__name__, module.__cached__.rpartition("/")[2], *module.__dict__.get("__path__", ()))
print(dependency.part.VALUE, dependency.part.__file__)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As in the image: dependencies as bytecode without source, and app/bundle.py beside them."""
    package = tmp_path / "dependency"
    package.mkdir()
    (package / "__init__.py").write_text("NAME = __name__\n")
    (package / "part.py").write_text("from dependency import NAME\nVALUE = NAME + __package__\ndef fail(): 1 / 0\n")
    (package / "unused.py").write_text("")
    python(tmp_path, "-m", "compileall", "-q", "-b", str(tmp_path))
    for source in package.glob("*.py"):
        source.unlink()
    shutil.copy(ROOT / "app" / "bundle.py", tmp_path / "sitecustomize.py")
    return tmp_path


def python(folder: Path, *arguments: str, **variables: str) -> str:
    """What Python printed with `folder` among its modules; its error output if it failed."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(folder),
        "PYTHONPYCACHEPREFIX": str(folder / "compiled"),
        "PYTHONDONTWRITEBYTECODE": "1",
        **variables,
    }
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    return done.stdout if done.returncode == 0 else done.stderr


def test_what_was_imported_is_in_one_file_and_the_rest_where_it_was(folder: Path) -> None:
    assert python(folder, "-c", WRITE) == ""
    assert sorted(path.name for path in (folder / "dependency").iterdir()) == ["unused.pyc"]
    assert python(folder, "-c", TELL).splitlines() == [
        "json.tool modules",
        f"dependency modules {folder}/dependency",
        "dependency.part modules",
        "dependency.unused unused.pyc",
        f"dependencydependency {folder}/dependency/part.pyc",
    ]


def test_a_trace_names_file_line_and_function(folder: Path) -> None:
    python(folder, "-c", WRITE)
    said = python(folder, "-c", "import dependency.part; dependency.part.fail()")
    assert "dependency/part.py" in said
    assert "line 3, in fail" in said
    assert "ZeroDivisionError" in said


def test_a_module_in_the_file_runs_as_a_program_and_can_be_inspected(folder: Path) -> None:
    python(folder, "-c", WRITE)
    assert "usage: python -m json.tool" in python(folder, "-m", "json.tool", "--help")
    told = "import inspect, dependency.part as p; print(inspect.getmodule(p.fail) is p, p.__spec__.has_location)"
    assert python(folder, "-c", told).strip() == "True True"


def test_another_interpreter_takes_its_own_standard_library_and_the_dependencies(folder: Path) -> None:
    python(folder, "-c", f"import sys; sys.version += ' (another)'; {WRITE}")
    first, second, *_ = python(folder, "-c", TELL).splitlines()
    assert first.startswith("json.tool tool.cpython-")
    assert second.startswith("dependency modules")


def test_regular_expressions_that_were_compiled_then_are_not_compiled_again(folder: Path) -> None:
    used = 'import re; P = re.compile(r"(?P<year>[0-9]{4})-([ä-ü]+)", re.I)'
    python(folder, "-c", f"{used}; {WRITE}")
    told = (
        "import re._parser; re._parser.parse = None\n"  # what compiling begins with
        f"{used}\n"
        "m = P.fullmatch('2026-Äö'); print(m['year'], m[2], P.flags == re.I | re.U, P.groupindex, P.pattern)\n"
        "try: re.compile('another')\nexcept TypeError: print('compiled')"
    )
    expected = ["2026 Äö True {'year': 1} (?P<year>[0-9]{4})-([ä-ü]+)", "compiled"]
    assert python(folder, "-c", told).splitlines() == expected


def test_what_python_has_compiled_itself_stays_where_it_is(folder: Path) -> None:
    python(folder, "-c", "import json.tool", PYTHONDONTWRITEBYTECODE="")
    python(folder, "-c", WRITE)
    first, second, *_ = python(folder, "-c", TELL).splitlines()
    assert first.startswith("json.tool tool.cpython-")
    assert second.startswith("dependency modules")


def test_without_the_file_nothing_changes(folder: Path) -> None:
    assert "dependency.part part.pyc" in python(folder, "-c", TELL)

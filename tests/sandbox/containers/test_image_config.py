"""The configuration of an image from the last stage of its Dockerfile."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.containers import image_config
from sandbox.images.image_sources import ImageSource


def source(tmp_path: Path, dockerfile: str, **args: str) -> ImageSource:
    (tmp_path / "Dockerfile").write_text(dockerfile)
    (tmp_path / "context").mkdir(exist_ok=True)
    return ImageSource(context=tmp_path / "context", dockerfile=tmp_path / "Dockerfile", args=args)


def test_last_stage_decides(tmp_path: Path) -> None:
    config = image_config.read(
        source(tmp_path, 'FROM a AS one\nENV A=1\nCMD ["x"]\nFROM b\nENV B=2\nCMD ["y", "z"]\n')
    )
    assert config.environment == {"B": "2"}
    assert config.command == ("y", "z")


@pytest.mark.parametrize(
    ("instruction", "argv"),
    [
        ('CMD ["python", "app.py"]', ("python", "app.py")),
        ("CMD python app.py --port $PORT", ("/bin/sh", "-c", "python app.py --port $PORT")),
    ],
)
def test_both_forms_of_a_command(tmp_path: Path, instruction: str, argv: tuple[str, ...]) -> None:
    assert image_config.read(source(tmp_path, f"FROM a\n{instruction}\n")).command == argv


def test_entrypoint_discards_an_earlier_command(tmp_path: Path) -> None:
    config = image_config.read(source(tmp_path, 'FROM a\nCMD ["x"]\nENTRYPOINT ["y"]\n'))
    assert (config.entrypoint, config.command) == (("y",), ())


@pytest.mark.parametrize(
    ("dockerfile", "environment"),
    [
        ("FROM a\nENV A=1 B='two words'\n", {"A": "1", "B": "two words"}),
        ("FROM a\nENV A one two\n", {"A": "one two"}),
        ("FROM a\nARG X=1\nENV A=${X} B=$X C=${Y:-z}\n", {"A": "1", "B": "1", "C": "z"}),
        ("FROM a\nENV A=1 \\\n    B=2\n", {"A": "1", "B": "2"}),
    ],
)
def test_variables(tmp_path: Path, dockerfile: str, environment: dict[str, str]) -> None:
    assert image_config.read(source(tmp_path, dockerfile)).environment == environment


def test_build_argument_replaces_its_default(tmp_path: Path) -> None:
    config = image_config.read(source(tmp_path, "FROM a\nARG X=1\nENV A=$X\n", X="7"))
    assert config.environment == {"A": "7"}


def test_working_directories_add_up(tmp_path: Path) -> None:
    config = image_config.read(source(tmp_path, "FROM a\nWORKDIR /srv\nWORKDIR app\n"))
    assert config.working_directory == "/srv/app"


def test_copy_places_files_as_docker_does(tmp_path: Path) -> None:
    image = source(
        tmp_path,
        "FROM a AS one\nCOPY . /one\nFROM b\nWORKDIR /srv\nCOPY . app/\nCOPY *.txt /data/\n"
        "COPY main.py /bin/tool\nCOPY --from=one /one /two\n",
    )
    (image.context / "package").mkdir()
    (image.context / "package" / "code.py").write_text("")
    (image.context / "main.py").write_text("")
    (image.context / "a.txt").write_text("")
    root = tmp_path / "root"
    image_config.copy_files(image, root)
    files = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    assert files == [
        "bin/tool",
        "data/a.txt",
        "srv/app/a.txt",
        "srv/app/main.py",
        "srv/app/package/code.py",
    ]


def test_requirements_are_those_that_the_dockerfile_installs(tmp_path: Path) -> None:
    image = source(tmp_path, "FROM a\nCOPY . .\nRUN pip install --no-deps -r app.txt\n")
    (image.context / "app.txt").write_text("")
    (image.context / "requirements.txt").write_text("")
    assert [path.name for path in image_config.read(image).requirements] == ["app.txt"]

"""The Python language host for the Pulumi CLI, over gRPC."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import language_pb2, language_pb2_grpc

from sandbox.engine.language_host.server import LanguageHost, serve


@pytest.fixture
def client() -> Iterator[Any]:
    port, stop = serve(LanguageHost(""))
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield language_pb2_grpc.LanguageRuntimeStub(channel)
    stop()


def info(folder: Path, **options: str) -> Any:
    struct = struct_pb2.Struct()
    struct.update(options)
    return language_pb2.ProgramInfo(
        root_directory=str(folder),
        program_directory=str(folder),
        entry_point=".",
        options=struct,
    )


def test_required_packages_are_those_that_installed_packages_declare(
    client: Any, tmp_path: Path
) -> None:
    request = language_pb2.GetRequiredPackagesRequest(info=info(tmp_path))
    packages = {item.name: item for item in client.GetRequiredPackages(request).packages}
    assert packages["aws"].kind == "resource"
    assert packages["aws"].version


def test_about_names_the_interpreter(client: Any, tmp_path: Path) -> None:
    response = client.About(language_pb2.AboutRequest(info=info(tmp_path)))
    assert response.executable == sys.executable
    assert response.version == ".".join(map(str, sys.version_info[:3]))
    assert client.GetPluginInfo(empty_pb2.Empty()).version.startswith("3.")


def test_program_dependencies_list_the_sdk(client: Any, tmp_path: Path) -> None:
    request = language_pb2.GetProgramDependenciesRequest(info=info(tmp_path))
    assert "pulumi" in [item.name for item in client.GetProgramDependencies(request).dependencies]


def test_virtual_environment_of_the_options_is_used(client: Any, tmp_path: Path) -> None:
    python = tmp_path / "own" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    response = client.About(language_pb2.AboutRequest(info=info(tmp_path, virtualenv="own")))
    assert response.executable == str(python)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"virtualenv": "none"}, "does not exist. Create it: python3 -m venv none"),
        ({"toolchain": "poetry"}, "'poetry' is not supported; use pip or uv"),
        ({"typechecker": "mypy"}, "runtime option typechecker is not supported"),
    ],
)
def test_unusable_options_are_refused_with_a_remedy(
    client: Any, tmp_path: Path, options: dict[str, str], message: str
) -> None:
    with pytest.raises(grpc.RpcError) as error:
        client.Run(language_pb2.RunRequest(info=info(tmp_path, **options)))
    assert message in str(error.value)


def test_installation_of_packages_is_refused_with_a_remedy(client: Any, tmp_path: Path) -> None:
    request = language_pb2.InstallDependenciesRequest(info=info(tmp_path))
    with pytest.raises(grpc.RpcError, match="pip install -r requirements"):
        list(client.InstallDependencies(request))


PLUGIN = """\
import os, sys
print(os.environ["NAME"], *sys.argv[1:], flush=True)
sys.exit(3)
"""


def test_plugin_in_python_runs_with_its_arguments_and_variables(
    client: Any, tmp_path: Path
) -> None:
    (tmp_path / "__main__.py").write_text(PLUGIN)
    request = language_pb2.RunPluginRequest(
        pwd=str(tmp_path), info=info(tmp_path), args=["127.0.0.1:1"], env=["NAME=a=b"]
    )
    output, ended = client.RunPlugin(request)
    assert (output.stdout, ended.exitcode) == (b"a=b 127.0.0.1:1\n", 3)


def test_plugin_needs_an_interpreter_and_no_installation(client: Any, tmp_path: Path) -> None:
    (tmp_path / "PulumiPlugin.yaml").write_text("runtime: python\n")
    required = language_pb2.GetRequiredPackagesRequest(info=info(tmp_path))
    assert not client.GetRequiredPackages(required).packages
    install = language_pb2.InstallDependenciesRequest(info=info(tmp_path), is_plugin=True)
    assert list(client.InstallDependencies(install)) == []
    lacking = language_pb2.InstallDependenciesRequest(
        info=info(tmp_path, virtualenv="none"), is_plugin=True
    )
    with pytest.raises(grpc.RpcError, match="python3 -m venv none"):
        list(client.InstallDependencies(lacking))


def test_generation_of_classes_is_refused_with_a_remedy(client: Any) -> None:
    with pytest.raises(grpc.RpcError, match="name the resources by their token"):
        client.GeneratePackage(language_pb2.GeneratePackageRequest())

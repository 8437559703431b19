"""Pulumi's Python language host: serves LanguageRuntime to the Pulumi CLI and prints its port.

The CLI starts it as `pulumi-language-python ADDRESS`, with the address of its own service.
"""

# ruff: noqa: N802, ARG002 - gRPC's methods and their parameters

from __future__ import annotations

import base64
import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2, json_format
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

from sandbox.engine.errors import UsageError
from sandbox.engine.language_host.program import HOST, send_settings
from sandbox.engine.language_host.project import find_interpreter

# The exit code of a program whose error was reported; the CLI adds no message of its own.
_REPORTED = 32


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """Runs the program in its own interpreter, as the embedded engine does."""

    def __init__(self, engine_address: str) -> None:
        self._engine_address = engine_address
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()

    def Handshake(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Accept the address of an engine that attaches to this process."""
        self._engine_address = request.engine_address
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Return the version of the SDK, which this host belongs to."""
        return plugin_pb2.PluginInfo(version=importlib.metadata.version("pulumi"))

    def GetRequiredPackages(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Return the provider plugins that the interpreter's packages declare.

        None for a plugin: the CLI would download all of them, before it reads the plugin's schema.
        """
        response = language_pb2.GetRequiredPackagesResponse()
        if Path(request.info.program_directory, "PulumiPlugin.yaml").is_file():
            return response
        for directory in _search_path(_interpreter(request.info, context)):
            for file in sorted(directory.glob("*/pulumi-plugin.json")):
                response.packages.extend(_required_plugin(file))
        return response

    def GetProgramDependencies(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Return the packages of the interpreter."""
        path = [str(item) for item in _search_path(_interpreter(request.info, context))]
        names = {item.name: item.version for item in importlib.metadata.distributions(path=path)}
        dependencies = [
            language_pb2.DependencyInfo(name=name, version=names[name]) for name in sorted(names)
        ]
        return language_pb2.GetProgramDependenciesResponse(dependencies=dependencies)

    def About(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Return the interpreter and its version."""
        python = _interpreter(request.info, context)
        version = _printed(python, "import platform; print(platform.python_version())")
        return language_pb2.AboutResponse(executable=str(python), version=version)

    def InstallDependencies(
        self, request: Any, context: grpc.ServicerContext
    ) -> Iterator[language_pb2.InstallDependenciesResponse]:
        """Refuse for a program: installing packages is the user's decision.

        Install nothing for a plugin, whose interpreter may have its packages.
        """
        if request.is_plugin:
            _interpreter(request.info, context)
            return
        context.abort(
            grpc.StatusCode.FAILED_PRECONDITION,
            "This language host installs no packages; run `pip install -r requirements.txt` in the "
            "program's environment.",
        )
        yield from ()

    def GeneratePackage(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Refuse: Pulumi's own language hosts generate code."""
        context.abort(
            grpc.StatusCode.UNIMPLEMENTED,
            "This language host generates no classes; use a CLI that Pulumi distributes, or name "
            "the resources by their token, as examples/network-by-schema does.",
        )

    def RunPlugin(
        self, request: Any, context: grpc.ServicerContext
    ) -> Iterator[language_pb2.RunPluginResponse]:
        """Run a plugin that is written in Python, until it or the call ends."""
        process = subprocess.Popen(
            [
                str(_interpreter(request.info, context)),
                "-u",
                request.info.program_directory,
                *request.args,
            ],
            cwd=request.pwd,
            env=dict(item.split("=", 1) for item in request.env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdout is not None  # noqa: S101 - see Popen
        with self._lock:
            self._processes.add(process)
        context.add_callback(lambda: _end(process))
        with process.stdout:
            for line in process.stdout:
                yield language_pb2.RunPluginResponse(stdout=line)
        code = process.wait()
        with self._lock:
            self._processes.discard(process)
        yield language_pb2.RunPluginResponse(exitcode=code)

    def Cancel(self, request: Any, context: grpc.ServicerContext) -> Any:
        """End the running programs and plugins."""
        self.stop()
        return empty_pb2.Empty()

    def Run(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Run the program; an error that it reported is not repeated."""
        python = _interpreter(request.info, context)
        lifeline, alive = os.pipe()
        info = request.info
        program = Path(info.program_directory, info.entry_point or ".").resolve()
        command = [
            str(python),
            "-u",
            str(HOST),
            f"--lifeline={lifeline}",
            str(program),
        ]
        process = subprocess.Popen(
            command,
            cwd=request.pwd,
            stdin=subprocess.DEVNULL,
            pass_fds=[lifeline],
            start_new_session=True,
        )
        os.close(lifeline)
        # Registered first: the write waits for the program if the configuration is large.
        with self._lock:
            self._processes.add(process)
        context.add_callback(lambda: _end(process))
        send_settings(
            alive,
            engine=self._engine_address,
            monitor=request.monitor_address,
            organization=request.organization,
            project=request.project,
            stack=request.stack,
            root=info.root_directory,
            parallel=request.parallel,
            preview=request.dryRun,
            config=dict(request.config),
            secret_keys=list(request.configSecretKeys),
        )
        code = process.wait()
        with self._lock:
            self._processes.discard(process)
        os.close(alive)
        if code == _REPORTED:
            return language_pb2.RunResponse(bail=True)
        error = f"Program exited with non-zero exit code: {code}" if code else ""
        return language_pb2.RunResponse(error=error)

    def stop(self) -> None:
        """End the running programs and plugins."""
        with self._lock:
            for process in self._processes:
                _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)


def _interpreter(info: Any, context: grpc.ServicerContext) -> Path:
    options = json_format.MessageToDict(info.options)
    try:
        return find_interpreter(Path(info.root_directory), options)
    except UsageError as error:
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        raise


def _search_path(python: Path) -> list[Path]:
    if python == Path(sys.executable):
        return [Path(item) for item in sys.path if item]
    printed = _printed(python, "import json, sys; print(json.dumps(sys.path[1:]))")
    return [Path(item) for item in json.loads(printed)]


def _printed(python: Path, code: str) -> str:
    command = [str(python), "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _required_plugin(file: Path) -> Iterator[plugin_pb2.PackageDependency]:
    declared = json.loads(file.read_text())
    if not declared.get("resource"):
        return
    package = plugin_pb2.PackageDependency(
        name=declared["name"],
        kind="resource",
        version=declared.get("version", ""),
        server=declared.get("server", ""),
    )
    for key, field in (
        ("parameterization", package.parameterization),
        ("extensionParameterization", package.extension),
    ):
        if parameterization := declared.get(key):
            field.name = parameterization["name"]
            field.version = parameterization["version"]
            field.value = base64.b64decode(parameterization["value"])
    yield package


def serve(host: LanguageHost) -> tuple[int, Callable[[], None]]:
    """Serve a host on a loopback port; return the port and a function that stops it."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()

    def stop() -> None:
        host.stop()
        server.stop(grace=1).wait()

    return port, stop


def main() -> None:
    """Serve until the CLI ends this process."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    addresses = [item for item in sys.argv[1:] if not item.startswith("-")]
    port, stop = serve(LanguageHost(addresses[-1] if addresses else ""))
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    parent = os.getppid()
    while not ended.wait(1) and os.getppid() == parent:
        pass
    stop()


if __name__ == "__main__":
    main()

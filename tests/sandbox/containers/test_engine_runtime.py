"""Containers of an engine: network, security context, limits, output, restart of the runtime."""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from docker.errors import ImageNotFound

from sandbox.containers.engine_client import ContainerEngine
from sandbox.containers.engine_images import RegistryAccess
from sandbox.containers.engine_logs import frames
from sandbox.containers.engine_runtime import EngineRuntime
from sandbox.contracts.container_runtime import (
    POD_IDENTITY_DIRECTORY,
    ContainerError,
    ContainerResources,
    ContainerSecurity,
    ContainerSpec,
)
from sandbox.images import Destination, placeholder
from sandbox.images.archive import oci_image
from sandbox.runtime import pod_containers
from sandbox.runtime.pod_containers import HOME_LABEL
from tests.sandbox.conftest import Images
from tests.sandbox.registry.client import Running, credentials, emptied_ecr, emulated_ecr

pytestmark = pytest.mark.container

POD = str(uuid4())


def spec(runtime: EngineRuntime, image: str, name: str = "main", **fields: Any) -> ContainerSpec:
    return ContainerSpec(
        id=f"{POD}_{name}_0",
        pod_uid=POD,
        image=image,
        address=runtime.pod_address(POD),
        **fields,
    )


def wait(condition: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not within the time"
        time.sleep(0.05)


def answers(address: str) -> bool:
    try:
        with socket.create_connection((address, 8080), timeout=1):
            return True
    except OSError:
        return False


def get(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}:8080/", timeout=5) as response:
        body: bytes = response.read()
    return body.decode()


def code(runtime: EngineRuntime, container: str) -> int | None:
    state = runtime.state(container)
    return None if state is None else state.exit_code


def output(runtime: EngineRuntime, image: str, script: str, **fields: Any) -> list[str]:
    """Run a shell script and return its output without errors."""
    container = spec(runtime, image, command=["sh", "-c", script], **fields)
    runtime.start(container)
    wait(lambda: code(runtime, container.id) is not None)
    lines = runtime.log(container.id).read_text().splitlines()
    return [line.split(" ", 3)[3] for line in lines if " stdout " in line]


@pytest.fixture
def runtime(engine_runtime: EngineRuntime) -> EngineRuntime:
    return engine_runtime


@pytest.fixture
def image(engine_images: Images) -> str:
    return engine_images(RELEASE="7")


def test_image_serves_on_the_address_of_its_pod(runtime: EngineRuntime, image: str) -> None:
    container = spec(runtime, image, environment={"HOSTNAME": "pod-1"})
    runtime.start(container)
    wait(lambda: answers(container.address))
    assert get(container.address) == "7 pod-1"
    assert not answers("127.0.0.1")


def test_log_has_the_format_of_the_cri(runtime: EngineRuntime, image: str) -> None:
    script = "echo out; echo err >&2; printf rest"
    container = spec(runtime, image, command=["sh", "-c", script])
    runtime.start(container)
    wait(lambda: code(runtime, container.id) is not None)
    lines = [line.split(" ", 3) for line in runtime.log(container.id).read_text().splitlines()]
    assert all(len(moment) == 30 and moment.endswith("Z") for moment, *_ in lines)
    assert sorted(line[1:] for line in lines) == [
        ["stderr", "F", "err"],
        ["stdout", "F", "out"],
        ["stdout", "P", "rest"],
    ]


def test_log_continues_after_a_restart_of_the_runtime(
    runtime: EngineRuntime, image: str, engine: ContainerEngine, home: Path
) -> None:
    script = "for i in $(seq 200); do echo $i; sleep 0.02; done"
    container = spec(runtime, image, command=["sh", "-c", script])
    runtime.start(container)
    wait(lambda: runtime.log(container.id).read_text().count("\n") > 10)
    successor = EngineRuntime(home / "pods" / "engine", home, engine)
    runtime._logs._copy = lambda *_, **__: None  # type: ignore[method-assign] # it has ended
    wait(lambda: code(successor, container.id) == 0)
    lines = successor.log(container.id).read_text().splitlines()
    numbers = [int(line.rpartition(" ")[2]) for line in lines]
    assert sorted(set(numbers)) == list(range(1, 201))


def test_stop_sends_sigterm_first(runtime: EngineRuntime, image: str) -> None:
    container = spec(runtime, image)
    runtime.start(container)
    wait(lambda: answers(container.address))
    runtime.stop(container.id, 20)
    state = runtime.state(container.id)
    assert state is not None
    assert (state.exit_code, state.reason) == (0, "Completed")
    assert state.finished_at >= state.started_at
    assert "stopped" in runtime.log(container.id).read_text()


def test_stop_kills_after_the_grace_period(runtime: EngineRuntime, image: str) -> None:
    script = "trap '' TERM; echo x; while true; do sleep 0.1; done"
    container = spec(runtime, image, command=["sh", "-c", script])
    runtime.start(container)
    wait(lambda: "x" in runtime.log(container.id).read_text())
    started = time.monotonic()
    runtime.stop(container.id, 1)
    assert code(runtime, container.id) == 137
    assert 0.9 < time.monotonic() - started < 20


def test_exit_code_is_recorded(runtime: EngineRuntime, image: str) -> None:
    container = spec(runtime, image, command=["sh", "-c"], args=["exit 3"])
    runtime.start(container)
    wait(lambda: code(runtime, container.id) is not None)
    state = runtime.state(container.id)
    assert state is not None
    assert (state.exit_code, state.reason) == (3, "Error")


def test_container_above_its_memory_limit_is_killed(runtime: EngineRuntime, image: str) -> None:
    allocate = "import sys\nx = []\nwhile True: x.append(bytearray(10**6))"
    resources = ContainerResources(memory_bytes=40 * 2**20)
    container = spec(runtime, image, command=["python3", "-c", allocate], resources=resources)
    runtime.start(container)
    wait(lambda: code(runtime, container.id) is not None)
    state = runtime.state(container.id)
    assert state is not None
    assert (state.exit_code, state.reason) == (137, "OOMKilled")


def test_removed_container_counts_as_killed(
    runtime: EngineRuntime, image: str, engine: ContainerEngine
) -> None:
    container = spec(runtime, image)
    runtime.start(container)
    engine.api.remove_container(f"sandbox_{container.id}", force=True)
    wait(lambda: code(runtime, container.id) == 137)


def test_missing_program_is_refused(
    runtime: EngineRuntime, image: str, engine: ContainerEngine, home: Path
) -> None:
    with pytest.raises(ContainerError, match="no-such-program") as refusal:
        runtime.start(spec(runtime, image, command=["no-such-program"]))
    assert refusal.value.reason == "RunContainerError"
    labels = {"label": [f"{HOME_LABEL}={home}"]}
    assert engine.api.containers(all=True, filters=labels) == []


def test_image_that_cannot_be_pulled_is_refused(runtime: EngineRuntime) -> None:
    reference = "localhost:1/missing:v1"
    assert not runtime.can_run(reference)
    with pytest.raises(ContainerError, match=r"failed to pull image .*localhost:1") as refusal:
        runtime.start(spec(runtime, reference))
    assert refusal.value.reason == "ErrImagePull"


def test_images_of_the_registry_and_of_the_engine_can_run(
    engine: ContainerEngine, image: str, home: Path
) -> None:
    access = RegistryAccess(host="localhost:1", credentials=lambda: ("AWS", ""))
    runtime = EngineRuntime(home / "pods" / "engine", home, engine, registry=access)
    digest = "sha256:" + 64 * "0"
    assert runtime.can_run(f"localhost:1/app@{digest}")
    assert runtime.can_run(image)
    assert not runtime.can_run("localhost:2/app:v1")
    placeholder.record(home, digest, "no engine")
    assert not runtime.can_run(f"localhost:1/app@{digest}")


@pytest.fixture
def pushed(engine: ContainerEngine, image: str, tmp_path: Path) -> Iterator[tuple[str, str, str]]:
    """Push the image to a registry behind ECR; return its reference by digest, user, password."""
    with emulated_ecr() as endpoint:
        ecr = emptied_ecr(endpoint)
        registry = Running(tmp_path / "registry")
        registry.start()
        ecr.create_repository(repositoryName="app")
        auth = credentials(ecr)
        archive = tmp_path / "image.tar"
        with archive.open("wb") as file:
            file.writelines(engine.api.get_image(image))
        content = oci_image(archive, tmp_path / "layers", base_layers=(), epoch=0)
        digest = Destination(f"{registry.host}/app", *auth).push(content, "v1")
        reference = f"{registry.host}/app@{digest}"
        yield reference, *auth
        with suppress(ImageNotFound):
            engine.api.remove_image(reference)
        registry.stop()


def test_image_is_pulled_by_digest(
    engine: ContainerEngine,
    home: Path,
    pushed: tuple[str, str, str],
    request: pytest.FixtureRequest,
) -> None:
    reference, username, password = pushed
    passwords = ["wrong.password"]
    access = RegistryAccess(
        host=reference.partition("/")[0], credentials=lambda: (username, passwords[0])
    )
    runtime = EngineRuntime(home / "pods" / "engine", home, engine, registry=access)
    request.addfinalizer(lambda: runtime.remove_pod(POD))
    assert runtime.can_run(reference)
    with pytest.raises(ContainerError, match="failed to pull image") as refusal:
        runtime.start(spec(runtime, reference))
    assert refusal.value.reason == "ErrImagePull"
    passwords[0] = password
    assert output(runtime, reference, "echo $RELEASE") == ["7"]


def test_security_context_is_applied(runtime: EngineRuntime, image: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "config").mkdir(mode=0o700)
    (tmp_path / "config" / "key").write_text("value")
    lines = output(
        runtime,
        image,
        "id -u; id -g; id -G; cat /proc/self/status;"
        "touch /srv/file || echo read-only; touch /data/file && echo written;"
        "cat /config/key; echo; touch /config/file || echo read-only",
        security=ContainerSecurity(
            user=10001,
            group=10002,
            groups=[10004],
            volume_group=10003,
            non_root=True,
            read_only_root=True,
            no_new_privileges=True,
            drop=["ALL"],
        ),
        mounts={"/data": tmp_path / "data", "/config": tmp_path / "config"},
        read_only_mounts=["/config"],
    )
    assert lines[:2] == ["10001", "10002"]
    assert set(lines[2].split()) == {"10002", "10003", "10004"}
    assert "CapEff:\t0000000000000000" in lines
    assert "NoNewPrivs:\t1" in lines
    assert lines.count("read-only") == 2
    assert {"written", "value"} < set(lines)
    assert (tmp_path / "data" / "file").stat().st_gid == 10003


def test_root_user_is_refused_with_run_as_non_root(runtime: EngineRuntime, image: str) -> None:
    with pytest.raises(ContainerError, match="image will run as root") as refusal:
        runtime.start(spec(runtime, image, security=ContainerSecurity(non_root=True)))
    assert refusal.value.reason == "CreateContainerConfigError"


def test_directory_and_limits_are_applied(
    runtime: EngineRuntime, image: str, engine: ContainerEngine
) -> None:
    resources = ContainerResources(memory_bytes=2**26, cpu_request=0.25, cpu_limit=0.5)
    container = spec(runtime, image, working_directory="/tmp", resources=resources)
    with pytest.raises(ContainerError, match="not running"):
        runtime.exec(container.id, ["true"])
    runtime.start(ContainerSpec(**{**container.__dict__, "command": ["sleep"], "args": ["60"]}))
    process = runtime.exec(container.id, ["pwd"])
    assert process.communicate(timeout=20)[0] == b"/tmp\n"
    host = engine.api.inspect_container(f"sandbox_{container.id}")["HostConfig"]
    assert (host["Memory"], host["CpuShares"]) == (2**26, 256)
    assert host["CpuQuota"] / host["CpuPeriod"] == 0.5
    assert host["RestartPolicy"]["Name"] in {"", "no"}


def test_containers_of_a_pod_share_its_network(runtime: EngineRuntime, image: str) -> None:
    first = spec(runtime, image)
    runtime.start(first)
    wait(lambda: answers(first.address))
    request = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080/').read())"
    sidecar = spec(runtime, image, "sidecar", command=["python3", "-c", request])
    runtime.start(sidecar)
    wait(lambda: code(runtime, sidecar.id) is not None)
    assert "b'7 " in runtime.log(sidecar.id).read_text()


def test_container_is_killed_when_the_owner_of_its_network_restarts(
    runtime: EngineRuntime, image: str
) -> None:
    first = spec(runtime, image)
    runtime.start(first)
    sidecar = spec(runtime, image, "sidecar", command=["sleep", "60"])
    runtime.start(sidecar)
    runtime.stop(first.id, 0)
    runtime.start(spec(runtime, image, "again"))
    wait(lambda: code(runtime, sidecar.id) == 137)
    wait(lambda: answers(first.address))


class _Loopback(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        address, _ = self.connection.getsockname()
        body = f"{address} {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def servers() -> Iterator[list[int]]:
    """Serve on 127.0.0.1, and on two addresses with one port, as databases do."""
    running = [ThreadingHTTPServer(("127.0.0.1", 0), _Loopback)]
    running.append(ThreadingHTTPServer(("127.80.9.1", 0), _Loopback))
    running.append(ThreadingHTTPServer(("127.80.9.2", running[1].server_port), _Loopback))
    for server in running:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield [server.server_port for server in running]
    for server in running:
        server.shutdown()
        server.server_close()


def test_servers_on_loopback_are_reached(
    engine: ContainerEngine,
    image: str,
    home: Path,
    servers: list[int],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    account, database, _ = servers
    runtime = EngineRuntime(
        home / "pods" / "engine",
        home,
        engine,
        environment=lambda: {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{account}"},
        endpoints=lambda: {
            "127.0.0.1": [account],
            "127.80.9.1": [database],
            "127.80.9.2": [database],
        },
    )
    request.addfinalizer(lambda: runtime.remove_pod(POD))
    token = tmp_path / "token" / "eks-pod-identity-token"
    token.parent.mkdir(mode=0o700)
    token.touch(mode=0o600)
    token.write_text("secret")
    program = """
import os, urllib.request
for url in [os.environ["AWS_ENDPOINT_URL"], os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"],
            "http://one.example:PORT/", "http://two.example:PORT/"]:
    print(url.split(":")[1], urllib.request.urlopen(url, timeout=10).read().decode())
print(open(os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]).read())
""".replace("PORT", str(database))
    container = spec(
        runtime,
        image,
        command=["python3", "-c", program],
        environment={
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://127.0.0.1:{account}/v1/credentials",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": f"{POD_IDENTITY_DIRECTORY}/{token.name}",
        },
        mounts={POD_IDENTITY_DIRECTORY: token.parent},
        security=ContainerSecurity(user=10001),
        hosts={"one.example": "127.80.9.1", "two.example": "127.80.9.2"},
    )
    runtime.start(container)
    wait(lambda: code(runtime, container.id) is not None)
    lines = [line.split(" ", 3)[3] for line in runtime.log(container.id).read_text().splitlines()]
    gateway = str(runtime._networks.pods().gateway)
    listening = json.loads((home / "pods" / "engine" / "relays" / "config.json").read_text())
    assert lines == [
        f"//{gateway} 127.0.0.1 /",
        "//169.254.170.23 127.0.0.1 /v1/credentials",
        "//one.example 127.80.9.1 /",
        "//two.example 127.80.9.2 /",
        "secret",
    ]
    assert {item["address"] for item in listening["listeners"]}.isdisjoint({"0.0.0.0", ""})


def test_container_survives_a_restart_of_the_runtime(
    runtime: EngineRuntime, image: str, engine: ContainerEngine, home: Path
) -> None:
    container = spec(runtime, image)
    runtime.start(container)
    wait(lambda: answers(container.address))
    successor = EngineRuntime(home / "pods" / "engine", home, engine)
    assert successor.pod_address(POD) == container.address
    assert successor.pods() == [POD]
    state = successor.state(container.id)
    assert state is not None
    assert state.exit_code is None
    successor.stop(container.id, 5)
    assert not answers(container.address)


def test_exec_has_the_environment_of_the_container(runtime: EngineRuntime, image: str) -> None:
    container = spec(runtime, image)
    runtime.start(container)
    process = runtime.exec(container.id, ["sh", "-c", "echo $RELEASE; cat; echo e >&2; exit 4"])
    assert process.communicate(b"input", timeout=20) == (b"7\ninput", b"e\n")
    assert process.returncode == 4
    process = runtime.exec(container.id, ["no-such-program"])
    process.communicate(timeout=20)
    assert process.returncode in {126, 127}


def test_exec_gives_a_terminal(runtime: EngineRuntime, image: str) -> None:
    container = spec(runtime, image)
    runtime.start(container)
    check = "import sys; print(sys.stdin.isatty(), sys.stdout.isatty())"
    process = runtime.exec(container.id, ["python3", "-c", check], tty=True)
    assert process.communicate(timeout=20)[0].strip() == b"True True"


def test_stats_are_of_the_container(runtime: EngineRuntime, image: str) -> None:
    container = spec(runtime, image)
    assert runtime.stats(container.id) is None
    runtime.start(container)
    wait(lambda: answers(container.address))
    stats = runtime.stats(container.id)
    assert stats is not None
    assert stats.cpu_seconds > 0
    assert 10**6 < stats.memory_bytes < 10**9


def test_last_pod_leaves_no_container_network_or_file(
    runtime: EngineRuntime, image: str, engine: ContainerEngine, home: Path
) -> None:
    container = spec(runtime, image)
    runtime.start(container)
    label = {"label": [f"{HOME_LABEL}={home}"]}
    assert engine.api.networks(filters=label)
    runtime.remove_pod(POD)
    assert engine.api.containers(all=True, filters=label) == []
    assert engine.api.networks(filters=label) == []
    assert list((home / "pods" / "engine" / "pods").iterdir()) == []


def test_leftovers_are_removed_without_the_runtime(
    runtime: EngineRuntime, image: str, engine: ContainerEngine, home: Path
) -> None:
    assert not pod_containers.end_all(home.with_name("other"), home.with_name("other"))
    runtime.start(spec(runtime, image))
    assert pod_containers.end_all(home, home / "pods")
    label = {"label": [f"{HOME_LABEL}={home}"]}
    assert engine.api.containers(all=True, filters=label) == []
    assert engine.api.networks(filters=label) == []
    assert runtime.pods() == []


def test_frames_are_assembled_from_any_chunks() -> None:
    stream = b"\x01\0\0\0\0\0\0\x03abc\x02\0\0\0\0\0\0\x02de"
    for size in range(1, len(stream) + 1):
        chunks = [stream[start : start + size] for start in range(0, len(stream), size)]
        assert list(frames(chunks)) == [(1, b"abc"), (2, b"de")]

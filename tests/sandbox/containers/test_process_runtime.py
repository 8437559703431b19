"""Containers as processes: environment, address, output, exit codes, restart of the runtime."""

from __future__ import annotations

import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from sandbox.containers.process_runtime import ProcessRuntime
from sandbox.contracts.container_runtime import ContainerError, ContainerSpec
from tests.sandbox.conftest import DOCKERFILE, Images

pytestmark = pytest.mark.server

POD = str(uuid4())  # the address follows from it, and other processes test at the same time


def spec(runtime: ProcessRuntime, image: str, **fields: object) -> ContainerSpec:
    return ContainerSpec(
        **{  # type: ignore[arg-type]
            "id": f"{POD}_main_0",
            "pod_uid": POD,
            "image": image,
            "address": runtime.pod_address(POD),
            **fields,
        }
    )


def wait(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not within the time"
        time.sleep(0.05)


def get(address: str, path: str = "/") -> str:
    with urllib.request.urlopen(f"http://{address}:8080{path}", timeout=5) as response:
        body: bytes = response.read()
    return body.decode()


def answers(address: str) -> bool:
    try:
        with socket.create_connection((address, 8080), timeout=1):
            return True
    except OSError:
        return False


def ended(runtime: ProcessRuntime, container: str) -> bool:
    state = runtime.state(container)
    return state is not None and state.exit_code is not None


@pytest.fixture
def runtime(process_runtime: ProcessRuntime) -> ProcessRuntime:
    return process_runtime


@pytest.fixture
def images(process_images: Images) -> Images:
    return process_images


@pytest.fixture(autouse=True)
def _no_process_remains(runtime: ProcessRuntime) -> Iterator[None]:
    yield
    runtime.remove_pod(POD)


def test_image_serves_on_the_address_of_its_pod(runtime: ProcessRuntime, images: Images) -> None:
    container = spec(runtime, images(RELEASE="7"), environment={"HOSTNAME": "pod-1"})
    runtime.start(container)
    wait(lambda: answers(container.address))
    assert container.address.startswith("127.")
    assert get(container.address) == "7 pod-1"
    assert not answers("127.0.0.1"), "only the pod's own address is bound"


def test_log_has_the_format_of_the_cri(runtime: ProcessRuntime, images: Images) -> None:
    container = spec(runtime, images())
    runtime.start(container)
    wait(lambda: answers(container.address))
    first = runtime.log(container.id).read_text().splitlines()[0]
    moment, stream, flag, text = first.split(" ", 3)
    assert moment.endswith("Z")
    assert (stream, flag, text) == ("stdout", "F", f"serving {container.address}")


def test_stop_sends_sigterm_first(runtime: ProcessRuntime, images: Images) -> None:
    container = spec(runtime, images())
    runtime.start(container)
    wait(lambda: answers(container.address))
    runtime.stop(container.id, 10)
    state = runtime.state(container.id)
    assert state is not None
    assert (state.exit_code, state.reason) == (0, "Completed")
    assert "stopped" in runtime.log(container.id).read_text()


def test_stop_kills_after_the_grace_period(runtime: ProcessRuntime, images: Images) -> None:
    ignore = (
        "import signal, time\nsignal.signal(15, signal.SIG_IGN)\n"
        "print('x', flush=True)\ntime.sleep(60)"
    )
    container = spec(runtime, images("ignore", server=ignore))
    runtime.start(container)
    wait(lambda: "x" in runtime.log(container.id).read_text())
    started = time.monotonic()
    runtime.stop(container.id, 0.5)
    state = runtime.state(container.id)
    assert state is not None
    assert state.exit_code == 137
    assert 0.4 < time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("command", "code"), [(["sh", "-c", "exit 3"], 3), (["sh", "-c", "kill -9 $$"], 137)]
)
def test_exit_code_is_recorded(
    runtime: ProcessRuntime, images: Images, command: list[str], code: int
) -> None:
    container = spec(runtime, images(), command=command)
    runtime.start(container)
    wait(lambda: ended(runtime, container.id))
    state = runtime.state(container.id)
    assert state is not None
    assert state.exit_code == code


def test_missing_program_is_refused(runtime: ProcessRuntime, images: Images) -> None:
    with pytest.raises(ContainerError, match="no-such-program"):
        runtime.start(spec(runtime, images(), command=["no-such-program"]))


def test_unknown_image_is_refused(runtime: ProcessRuntime) -> None:
    assert not runtime.can_run("nginx:1.29")
    with pytest.raises(ContainerError, match="no sources"):
        runtime.start(spec(runtime, "nginx:1.29"))


def test_paths_of_image_and_volumes_become_real_paths(
    runtime: ProcessRuntime, images: Images, tmp_path: Path
) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume" / "key").write_text("from the volume")
    container = spec(
        runtime,
        images(),
        command=["sh", "-c", "cat $FILE; echo; ls $CODE"],
        environment={"FILE": "/etc/secrets/key", "CODE": "/srv"},
        mounts={"/etc/secrets": tmp_path / "volume"},
    )
    runtime.start(container)
    wait(lambda: ended(runtime, container.id))
    output = runtime.log(container.id).read_text()
    assert "from the volume" in output
    assert "server.py" in output


def test_host_names_resolve_in_the_container_only(runtime: ProcessRuntime, images: Images) -> None:
    resolve = "import socket; print(socket.gethostbyname('db.example.internal'))"
    container = spec(
        runtime,
        images(),
        command=["python3", "-c", resolve],
        hosts={"db.example.internal": "127.80.0.9"},
    )
    runtime.start(container)
    wait(lambda: ended(runtime, container.id))
    log = runtime.log(container.id).read_text()
    if "127.80.0.9" not in log:
        pytest.skip(f"this machine permits no mount namespaces: {log}")
    with pytest.raises(socket.gaierror):
        socket.gethostbyname("db.example.internal")


def test_container_survives_a_restart_of_the_runtime(
    runtime: ProcessRuntime, images: Images, home: Path, tmp_path: Path
) -> None:
    container = spec(runtime, images())
    runtime.start(container)
    wait(lambda: answers(container.address))
    successor = ProcessRuntime(home / "pods", home, tmp_path / "environments")
    assert successor.pod_address(POD) == container.address
    state = successor.state(container.id)
    assert state is not None
    assert state.exit_code is None
    successor.stop(container.id, 5)
    assert not answers(container.address)


def test_exec_has_the_environment_of_the_container(runtime: ProcessRuntime, images: Images) -> None:
    container = spec(runtime, images(RELEASE="8"))
    runtime.start(container)
    process = runtime.exec(container.id, ["sh", "-c", "echo $RELEASE; cat; exit 4"])
    output, _ = process.communicate(b"input", timeout=10)
    assert (output, process.returncode) == (b"8\ninput", 4)


def test_remove_pod_leaves_no_process_and_no_file(
    runtime: ProcessRuntime, images: Images, home: Path
) -> None:
    container = spec(runtime, images())
    runtime.start(container)
    wait(lambda: answers(container.address))
    runtime.remove_pod(POD)
    assert not answers(container.address)
    assert list((home / "pods" / "pods").iterdir()) == []


def test_requirements_that_cannot_be_installed_are_named(
    runtime: ProcessRuntime, images: Images, tmp_path: Path
) -> None:
    context = tmp_path / "context-broken"
    context.mkdir()
    (context / "requirements.txt").write_text("./does-not-exist\n")
    dockerfile = DOCKERFILE.replace("COPY", "RUN pip install -r requirements.txt\nCOPY")
    with pytest.raises(ContainerError, match=r"requirements cannot be installed: .*does-not-exist"):
        runtime.start(spec(runtime, images("broken", dockerfile=dockerfile)))

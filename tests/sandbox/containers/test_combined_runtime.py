"""Each pod runs with the first runtime that can run its image."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from sandbox.containers.combined_runtime import CombinedRuntime
from sandbox.containers.engine_runtime import EngineRuntime
from sandbox.containers.process_runtime import ProcessRuntime
from sandbox.contracts.container_runtime import ContainerError, ContainerSpec
from tests.sandbox.conftest import Images

pytestmark = pytest.mark.container

ECHO = ["sh", "-c", "echo started; sleep 60"]


@pytest.fixture
def runtime(
    engine_runtime: EngineRuntime, process_runtime: ProcessRuntime
) -> Iterator[CombinedRuntime]:
    runtime = CombinedRuntime(engine_runtime, process_runtime)
    yield runtime
    for uid in runtime.pods():
        runtime.remove_pod(uid)


def run(runtime: CombinedRuntime, image: str) -> ContainerSpec:
    uid = str(uuid4())
    assert runtime.pod_address(uid) == ""
    container = ContainerSpec(
        id=f"{uid}_main_0", pod_uid=uid, image=image, address="", command=ECHO
    )
    runtime.start(container)
    deadline = time.monotonic() + 30
    while "started" not in runtime.log(container.id).read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return container


def test_images_of_the_engine_run_there_and_others_as_processes(
    runtime: CombinedRuntime,
    engine_runtime: EngineRuntime,
    process_runtime: ProcessRuntime,
    engine_images: Images,
    process_images: Images,
    home: Path,
) -> None:
    contained = run(runtime, engine_images())
    process = run(runtime, process_images())
    assert runtime.pod_address(contained.pod_uid).startswith("10.213.")
    assert runtime.pod_address(process.pod_uid).startswith("127.")
    assert engine_runtime.pods() == [contained.pod_uid]
    assert process_runtime.pods() == [process.pod_uid]
    assert not runtime.can_run("registry.example/unknown:v1")
    successor = CombinedRuntime(engine_runtime, process_runtime)
    for container in (contained, process):
        address = runtime.pod_address(container.pod_uid)
        assert successor.pod_address(container.pod_uid) == address
        state = successor.state(container.id)
        assert state is not None
        assert state.exit_code is None
        output, _ = successor.exec(container.id, ["cat"]).communicate(b"in", timeout=20)
        assert output == b"in"
        successor.stop(container.id, 0)
        ended = runtime.state(container.id)
        assert ended is not None
        assert ended.exit_code in {128 + signal.SIGKILL, 128 + signal.SIGTERM}
        runtime.remove_pod(container.pod_uid)
    assert runtime.pods() == []


def test_image_of_no_runtime_is_refused(runtime: CombinedRuntime) -> None:
    with pytest.raises(ContainerError, match="no runtime has"):
        run(runtime, "registry.example/unknown:v1")

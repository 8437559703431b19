"""Size, start and rebuild of the image, relative to the Dockerfile of the study."""

import os
import platform
import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from bench.processes import HELLO_WORLD, ROOT, free_port, responds
from bench.row import Row
from sandbox.images import debian_base, engines, image_cache

REPEATS = 3
BASE, BUILDER, SERVICE, STUDY = "bench-base", "bench-builder", "bench-service", "bench-study"
# `--break-system-packages`: Debian's pip requires it, the study's python image does not.
STUDY_DOCKERFILE = f"""FROM {BUILDER}
ENV PIP_BREAK_SYSTEM_PACKAGES=1 PIP_CERT=/etc/ssl/certs/ca-certificates.crt
COPY . /app
WORKDIR /app
RUN python3 -m pip install --upgrade pip
RUN python3 -m pip install flask
ENTRYPOINT ["python3", "app.py"]
"""


def measure(directory: Path) -> list[Row]:
    """Build both images on one base and measure them."""
    contexts = {SERVICE: directory / "service", STUDY: directory / "study"}
    ignored = shutil.ignore_patterns("__pycache__", ".env")
    shutil.copytree(ROOT / "app", contexts[SERVICE], ignore=ignored)
    contexts[STUDY].mkdir()
    (contexts[STUDY] / "Dockerfile").write_text(STUDY_DOCKERFILE)
    (contexts[STUDY] / "app.py").write_text(HELLO_WORLD)
    edited = {SERVICE: contexts[SERVICE] / "health.py", STUDY: contexts[STUDY] / "app.py"}
    with _engine(directory) as host:
        architecture = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
        base = debian_base.local_base(image_cache() / "bases", architecture)
        for tar, tag in ((base.base, BASE), (base.builder, BUILDER)):
            path = "ENV PATH=/usr/local/bin:/usr/bin:/bin"
            _docker(host, "import", "--change", path, str(tar), tag)
        for tag, context in contexts.items():
            _build(host, tag, context)
        rebuilds: dict[str, list[float]] = {SERVICE: [], STUDY: []}
        for number in range(REPEATS):
            for tag, context in contexts.items():
                with edited[tag].open("a") as file:
                    file.write(f"\n# change {number}\n")
                start = time.perf_counter()
                _build(host, tag, context)
                rebuilds[tag].append(time.perf_counter() - start)
        starts = [_start_seconds(host) for _ in range(REPEATS)]
        size = (_size(host, SERVICE) - _size(host, BASE)) / 1e6
    service, study = statistics.median(rebuilds[SERVICE]), statistics.median(rebuilds[STUDY])
    ratio, seconds = study / service, statistics.median(starts)
    rebuild = "rebuild after a code change"
    return [
        Row("container start until ready", f"{seconds:.2f} s", "", "", "≤ 1.5 s", seconds <= 1.5),
        Row("image above its base", f"{size:.1f} MB", "", "", "≤ 70 MB", size <= 70),
        Row(rebuild, f"{service:.2f} s", f"{study:.2f} s", f"{ratio:.1f}", "≥ 10", ratio >= 10),
    ]


def _build(host: str, tag: str, context: Path) -> None:
    arguments = ["--build-arg", f"BASE_IMAGE={BASE}", "--build-arg", f"BUILDER_IMAGE={BUILDER}"]
    secrets = []
    certificates = Path("/etc/ssl/certs/ca-certificates.crt")
    for name, path in (("pip.conf", Path("/etc/pip.conf")), ("ca.pem", certificates)):
        if tag == SERVICE and path.is_file():
            secrets += ["--secret", f"id={name},src={path}"]
    options = [*(arguments if tag == SERVICE else []), *secrets]
    _docker(host, "build", "--quiet", "--network", "host", "--tag", tag, *options, str(context))


def _start_seconds(host: str) -> float:
    port = free_port()
    variables = ["--env", f"APP_PORT={port}", "--env", "APP_BIND=127.0.0.1"]
    start = time.perf_counter()
    name = _docker(host, "run", "--detach", "--network", "host", *variables, SERVICE)
    try:
        while not responds(port, "/readyz"):
            if time.perf_counter() - start > 30:
                raise RuntimeError(f"the container is not ready: {_docker(host, 'logs', name)}")
            time.sleep(0.01)
        return time.perf_counter() - start
    finally:
        _docker(host, "rm", "--force", name)


def _size(host: str, image: str) -> int:
    return int(_docker(host, "image", "inspect", "--format", "{{.Size}}", image))


def _docker(host: str, *arguments: str) -> str:
    environment = {**os.environ, "DOCKER_HOST": host, "DOCKER_BUILDKIT": "1"}
    process = subprocess.run(
        [_docker_program(host), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        raise RuntimeError(f"docker {arguments[0]}: {process.stderr.strip()[-800:]}")
    return process.stdout.strip()


@cache
def _docker_program(host: str) -> str:
    """Return the first docker on PATH that has BuildKit."""
    for program in engines.docker_programs():
        if engines.docker_problem(program, {**os.environ, "DOCKER_HOST": host}) is None:
            return program
    raise RuntimeError("no docker command line with BuildKit is installed")


@contextmanager
def _engine(directory: Path) -> Iterator[str]:
    """Run a Docker engine without a network of its own."""
    host = f"unix://{directory}/docker.sock"
    options = [f"--data-root={directory}/data", f"--exec-root={directory}/exec", "--bridge=none"]
    options += [f"--pidfile={directory}/pid", "--iptables=false", "--ip6tables=false"]
    with (directory / "dockerd.log").open("w") as log:
        daemon = subprocess.Popen(["dockerd", "--host", host, *options], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while not Path(f"{directory}/docker.sock").exists():
            if time.monotonic() > deadline or daemon.poll() is not None:
                raise RuntimeError("dockerd does not start (root and docker.io are required)")
            time.sleep(0.1)
        yield host
    finally:
        daemon.terminate()
        daemon.wait(60)
        subprocess.run(
            ["umount", f"{directory}/exec/netns/default"], check=False, capture_output=True
        )

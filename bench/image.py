"""Measures the service's image against the seed's Dockerfile, side by side, on the same base and the same engine.

    python -m bench.image            prints the rows and writes them into docs/benchmarks.md

Needs a Docker engine (one is started when root and Debian's docker.io is there) and, where Docker Hub can't be reached,
mmdebstrap for the base. Both images stand on the same base; the seed needs pip in it, ours doesn't and is measured on it
all the same.
"""

from __future__ import annotations

import datetime
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from sandbox.images import Builder, BuildRequest, debian_base, engines
from tests.sandbox.images import machine

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "benchmarks.md"
MARKS = ("<!-- image: begin -->", "<!-- image: end -->")
REPEATS = 5
STARTS = 25
"""More than of the builds: starts are short, close to each other, and scatter with whatever else the machine does."""
# The seed's Dockerfile, with the base by argument and under the name that Debian gives the interpreter.
SEED_DOCKERFILE = """ARG BASE_IMAGE
FROM ${BASE_IMAGE}
COPY . /app
WORKDIR /app
RUN python3 -m pip install --upgrade pip
RUN python3 -m pip install flask
ENTRYPOINT ["python3", "app.py"]
"""
SEED_APP = """import os
from flask import Flask

app = Flask(__name__)


@app.route("/")
def hello():
    return "Hello, World!"


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ["PORT"]))
"""


@dataclass(frozen=True)
class Row:
    """One line of the table; `met` says whether the bar of the issue is reached."""

    what: str
    ours: str
    seed: str
    ratio: str
    bar: str
    met: bool


@dataclass(frozen=True)
class Contender:
    """An image under measurement: its context, the file a developer would edit, and how a container of it is run."""

    name: str
    context: Path
    edited: Path
    environment: Callable[[int], Sequence[str]]

    def edit(self, number: int) -> None:
        """Change one line."""
        self.edited.write_text(self.edited.read_text() + f"\n# change {number} at {time.time()}\n")


def measure(docker: engines.DockerEngine, folder: Path) -> list[Row]:
    """Build, edit, rebuild and run both, alternating, and return the rows."""
    image = _base(docker, folder)
    ours, seed = _ours(folder), _seed(folder)
    tags = {it.name: f"localhost/bench-{it.name}" for it in (ours, seed)}
    for contender in (ours, seed):
        _build(docker, contender, image, tags[contender.name])
    rebuild: dict[str, list[float]] = {"ours": [], "seed": []}
    for number in range(REPEATS):
        for contender in (ours, seed):
            contender.edit(number)
            rebuild[contender.name].append(
                _timed(lambda it=contender: _build(docker, it, image, tags[it.name]))
            )  # type: ignore[misc]
    start: dict[str, list[float]] = {"ours": [], "seed": []}
    for number in range(STARTS + 1):
        for contender in (ours, seed) if number % 2 else (seed, ours):
            seconds = _start(docker, contender, tags[contender.name])
            if number:  # the first reads the files from the disk
                start[contender.name].append(seconds)
    base_size = _size(docker, image)
    sizes = {name: _size(docker, tag) - base_size for name, tag in tags.items()}
    return [
        _faster("rebuild after a one-line code change", rebuild, at_least=10),
        _unchanged(docker, ours, image, folder),
        Row(
            "image size above its base",
            f"{sizes['ours'] / 1e6:.1f} MB",
            f"{sizes['seed'] / 1e6:.1f} MB",
            f"{sizes['ours'] / sizes['seed']:.2f} x",
            "<= 1.0 x",
            sizes["ours"] <= sizes["seed"],
        ),
        _started(start),
    ]


def _faster(what: str, times: dict[str, list[float]], at_least: float) -> Row:
    ours, seed = statistics.median(times["ours"]), statistics.median(times["seed"])
    ratio = seed / ours
    return Row(
        what,
        f"{ours:.2f} s",
        f"{seed:.2f} s",
        f"{ratio:.1f} x",
        f">= {at_least:g} x",
        ratio >= at_least,
    )


def _started(times: dict[str, list[float]]) -> Row:
    ours, seed = statistics.median(times["ours"]), statistics.median(times["seed"])
    met = ours <= seed and ours <= 1
    bar = "<= 1.0 x and <= 1 s"
    return Row(
        "container start to first good answer",
        f"{ours:.2f} s",
        f"{seed:.2f} s",
        f"{ours / seed:.2f} x",
        bar,
        met,
    )


def _unchanged(docker: engines.DockerEngine, ours: Contender, image: str, folder: Path) -> Row:
    """Time the sandbox's whole way: context, builder, reproducible image."""

    class Fixed(Builder):
        def engine(self) -> engines.Engine:
            return docker

    builder = Fixed(folder / "images")
    arguments = {"BASE_IMAGE": image}
    order = BuildRequest(
        context=ours.context,
        dockerfile=ours.context / "Dockerfile",
        platform=_platform(),
        args=arguments,
        network="host",
    )
    first = builder.build(order, None, None).digest
    digests, times = set(), []
    for _ in range(REPEATS):
        began = time.perf_counter()
        digests.add(builder.build(order, None, None).digest)
        times.append(time.perf_counter() - began)
    seconds = statistics.median(times)
    same = digests == {first}
    answer = f"{seconds:.2f} s, {'same' if same else 'NEW'} digest"
    return Row(
        "rebuild with nothing changed", answer, "", "", "< 1 s, same digest", same and seconds < 1
    )


def _base(docker: engines.DockerEngine, folder: Path) -> str:
    """Import the local base with pip; pip is told of the machine's certificates, for both contenders alike."""
    made = debian_base.local_base(ROOT / ".sandbox" / "images" / "bases", _platform().split("/")[1])
    plain = f"localhost/bench-plain:{made.key}"
    docker.load(made.builder, plain)
    context = folder / "base"
    context.mkdir()
    # The seed installs into the system's Python, which Debian's pip asks to be told twice.
    settings = "PIP_CERT=/etc/ssl/certs/ca-certificates.crt PIP_BREAK_SYSTEM_PACKAGES=1"
    (context / "Dockerfile").write_text(f"FROM {plain}\nENV {settings}\n")
    tag = f"localhost/bench-base:{made.key}"
    docker.tag(docker.build(_order(context, {}), {}, [], _silent), tag)
    return tag


def _ours(folder: Path) -> Contender:
    context = folder / "ours"
    shutil.copytree(ROOT / "app", context, ignore=shutil.ignore_patterns("__pycache__"))

    def environment(port: int) -> list[str]:
        return [f"APP_PORT={port}", "APP_BIND=127.0.0.1"]

    return Contender("ours", context, context / "page.py", environment)


def _seed(folder: Path) -> Contender:
    context = folder / "seed"
    context.mkdir()
    (context / "Dockerfile").write_text(SEED_DOCKERFILE)
    (context / "app.py").write_text(SEED_APP)

    def environment(port: int) -> list[str]:
        return [f"PORT={port}"]

    return Contender("seed", context, context / "app.py", environment)


def _build(docker: engines.DockerEngine, contender: Contender, image: str, tag: str) -> None:
    docker.tag(
        docker.build(
            _order(contender.context, {"BASE_IMAGE": image}), {"BASE_IMAGE": image}, [], _silent
        ),
        tag,
    )


def _order(context: Path, args: dict[str, str]) -> BuildRequest:
    return BuildRequest(
        context=context,
        dockerfile=context / "Dockerfile",
        platform=_platform(),
        args=args,
        network="host",
    )


def _start(docker: engines.DockerEngine, contender: Contender, tag: str) -> float:
    port = _free_port()
    name = f"bench-{contender.name}-{port}"
    command = [docker.program, "run", "--detach", "--name", name, "--network", "host"]
    for variable in contender.environment(port):
        command += ["--env", variable]
    began = time.perf_counter()
    subprocess.run([*command, tag], env=docker.env, capture_output=True, check=True)
    try:
        while not _answers(f"http://127.0.0.1:{port}/"):
            if time.perf_counter() - began > 30:
                raise SystemExit(
                    f"the container of '{contender.name}' gave no good answer within 30 s"
                )
            time.sleep(0.005)
        return time.perf_counter() - began
    finally:
        subprocess.run(
            [docker.program, "rm", "--force", name],
            env=docker.env,
            capture_output=True,
            check=False,
        )


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as answer:  # noqa: S310 -- our own container on loopback
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _size(docker: engines.DockerEngine, image: str) -> int:
    command = [docker.program, "image", "inspect", "--format", "{{.Size}}", image]
    return int(
        subprocess.run(command, env=docker.env, capture_output=True, text=True, check=True).stdout
    )


def _timed(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _silent(line: str) -> None:
    del line


def _platform() -> str:
    return "linux/" + {"x86_64": "amd64", "aarch64": "arm64"}.get(
        platform.machine(), platform.machine()
    )


def table(rows: Sequence[Row], docker: engines.DockerEngine) -> str:
    """Return the rows as Markdown, with the machine that they were measured on."""
    text = subprocess.run(
        [docker.program, "version", "--format", "{{.Server.Version}}"],
        env=docker.env,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    cpu = next(
        (it.split(":")[1].strip() for it in _lines("/proc/cpuinfo") if it.startswith("model name")),
        "unknown CPU",
    )
    memory = (
        int(next(it.split()[1] for it in _lines("/proc/meminfo") if it.startswith("MemTotal")))
        / 2**20
    )
    lines = [
        f"Measured {datetime.datetime.now(datetime.UTC):%Y-%m-%d} with `python -m bench.image` on {os.cpu_count()} cores "
        f"({cpu}), {memory:.0f} GiB, Linux {platform.release().split('-')[0]}, Docker {text} with BuildKit; medians of {REPEATS} (starts: {STARTS}), alternating. "
        f"Load of the machine just before the rows were printed: {os.getloadavg()[0]:.1f}.",
        "",
        "| what | ours | seed | ratio | bar | met |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.what} | {r.ours} | {r.seed} | {r.ratio} | {r.bar} | {'yes' if r.met else 'NO'} |"
        for r in rows
    ]
    return "\n".join(lines)


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def record(text: str) -> None:
    """Put the table between its marks in docs/benchmarks.md, making the file where there is none."""
    begin, end = MARKS
    whole = DOCUMENT.read_text() if DOCUMENT.exists() else "# Benchmarks\n"
    if begin not in whole:
        whole = (
            f"{whole.rstrip()}\n\n## The image against the seed's Dockerfile\n\n{begin}\n{end}\n"
        )
    before, _, rest = whole.partition(begin)
    DOCUMENT.write_text(f"{before}{begin}\n{text}\n{end}{rest.partition(end)[2]}")


def main() -> None:
    """Measure, print, record; the exit code tells whether every bar is met."""
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "dockerd").mkdir()
        with machine.docker_engine(folder / "dockerd") as host:
            programs = (
                engines.DockerEngine(it, {"DOCKER_HOST": host}) for it in engines.docker_programs()
            )
            docker = next((it for it in programs if it.works()), None)
            if docker is None:
                raise SystemExit(
                    "no docker command line with BuildKit is here; `make tools` installs one"
                )
            rows = measure(docker, folder)
            text = table(rows, docker)
    sys.stdout.write(f"{text}\n")
    record(text)
    if not all(row.met for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()

"""The background process: account, Kubernetes and registry, with the providers as children."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from fcntl import LOCK_EX, flock
from pathlib import Path

from sandbox.account import Account, JournalError
from sandbox.account.services.ecr.images import EcrRepositories
from sandbox.daemon.image_pulls import PullCheck
from sandbox.kubernetes import ExternalServices, KubernetesClusterHost
from sandbox.kubernetes.load_balancers import ElasticLoadBalancers
from sandbox.registry import Registry
from sandbox.runtime import ports
from sandbox.runtime.background import DaemonInfo, code_fingerprint, read_info
from sandbox.runtime.environment import clean_environment
from sandbox.runtime.home import Home

# Constructing pulumi-eks's components sets process-wide state, so they get their own process.
PROVIDER_PROCESSES = (("aws", "kubernetes", "docker"), ("eks",))

_DAMAGED = "Nothing was changed. Restore the file from a copy if you have one."
_OTHER_CODE = (
    "The account cannot be restored, most likely because the sandbox's code has changed. "
    "Use that version of the code if you can."
)
_ERASE = "Otherwise erase account, clusters, registry and state: `python -m sandbox reset`."

_log = logging.getLogger("sandbox.daemon")


def main() -> None:
    """Start all parts, publish their addresses, wait for SIGTERM, stop all parts."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.daemon", description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--time-scale", type=float, default=0.0)
    arguments = parser.parse_args()
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    home = Home(arguments.home)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())

    # One process at a time uses the account. One whose published file is gone exits within 1 s.
    alive = (home.path / "alive.lock").open("w")
    flock(alive, LOCK_EX)
    try:
        registry, account, fleet = _parts(home, arguments.time_scale)
    except ports.PortTakenError as error:
        sys.exit(str(error))
    kubernetes_url = fleet.start()
    try:
        account_url = _start_account(account, home.account / "port")
    except JournalError as error:
        sys.exit(f"{error}. {_DAMAGED if error.damaged else _OTHER_CODE} {_ERASE}")
    registry.start()

    running = DaemonInfo(
        pid=os.getpid(),
        code=code_fingerprint(),
        time_scale=arguments.time_scale,
        account=account_url,
        kubernetes=kubernetes_url,
        registry=registry.host,
        providers={},
    )
    environment = clean_environment() | running.environment(home, "us-east-1")
    children = [_provider_process(names, environment) for names in PROVIDER_PROCESSES]
    try:
        providers = {name: port for child in children for name, port in _read_ports(child).items()}
        published = running.model_copy(update={"providers": providers}).model_dump_json()
        temporary = home.daemon_info.with_suffix(".new")
        temporary.write_text(published)
        temporary.replace(home.daemon_info)
        _log.info("serving: %s", published)
        while not ended.wait(0.5):
            info = read_info(home)
            if info is None or info.pid != os.getpid():
                _log.error("%s names no or another process", home.daemon_info)
                break
            for child in children:
                if child.poll() is not None:
                    _log.error("a provider process ended with code %s", child.returncode)
                    ended.set()
    finally:
        for child in children:
            child.terminate()
        registry.stop()
        account.stop()
        fleet.stop()
        for child in children:
            try:
                child.wait(timeout=10)
            except subprocess.TimeoutExpired:
                child.kill()


def _parts(home: Home, time_scale: float) -> tuple[Registry, Account, KubernetesClusterHost]:
    """Connect registry, account and clusters. Raises PortTakenError."""
    registry = Registry(home.registry, EcrRepositories())
    account = Account(home.account, registry_host=registry.host, time_scale=time_scale)
    external = ExternalServices(
        image_check=PullCheck(registry, home.path),
        load_balancers=ElasticLoadBalancers(lambda: account.url),
    )
    fleet = KubernetesClusterHost(home.kubernetes, account, external)
    account.clusters = fleet
    return registry, account, fleet


def _start_account(account: Account, port_file: Path) -> str:
    """Start the account on its previous port, which shells with `sandbox env` still use."""
    try:
        url = account.start(ports.read_port(port_file))
    except OSError:
        url = ports.bind_free_port(account.start)  # no stored address contains it
    port_file.write_text(url.rpartition(":")[2])
    return url


def _provider_process(
    names: tuple[str, ...], environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    # The pipe to its stdin closes when this process dies, and the child exits with it.
    command = [sys.executable, "-m", "sandbox.providers", *names]
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _read_ports(child: subprocess.Popen[bytes]) -> dict[str, int]:
    line = child.stdout.readline() if child.stdout else b""
    if not line:
        raise RuntimeError(
            f"a provider process exited with code {child.wait()}; the log has its reason"
        )
    numbers: dict[str, int] = json.loads(line)
    return numbers


if __name__ == "__main__":
    main()

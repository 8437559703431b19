"""The background process: account, Kubernetes and registry in this process, the providers as its children."""

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
from sandbox.kubernetes import KubernetesClusterHost, ExternalServices
from sandbox.kubernetes.load_balancers import ElasticLoadBalancers
from sandbox.registry import Registry
from sandbox.runtime import ports
from sandbox.runtime.background import Running, announced, code_fingerprint
from sandbox.runtime.environment import clean_environment
from sandbox.runtime.home import Home

# pulumi-eks's components set state of the whole process, so they have one of their own.
PROVIDER_PROCESSES = (("aws", "kubernetes", "docker"), ("eks",))

_DAMAGED = "Nothing was changed. Put the file back as it was, if you have a copy."
_OTHER_CODE = (
    "The account can't be made again as it was, most likely because the sandbox's code has changed since. "
    "Go back to that code, if you can."
)
_FORGET = "Otherwise forget account, clusters, registry and state together: `python -m sandbox reset`."

_log = logging.getLogger("sandbox.daemon")


def main() -> None:
    """Start everything, announce it, wait for SIGTERM, stop everything."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.daemon", description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--time-scale", type=float, default=0.0)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    home = Home(arguments.home)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())

    # One process at a time has the account. Another that was forgotten (its announcement deleted) ends within a second.
    alive = (home.path / "alive.lock").open("w")
    flock(alive, LOCK_EX)
    try:
        registry, account, fleet = _parts(home, arguments.time_scale)
    except ports.PortTakenError as error:
        sys.exit(str(error))
    kubernetes_url = fleet.start()
    try:
        account_url = _on_the_same_port(account, home.account / "port")
    except JournalError as error:
        sys.exit(f"{error}. {_DAMAGED if error.damaged else _OTHER_CODE} {_FORGET}")
    registry.start()

    running = Running(
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
        providers = {name: port for child in children for name, port in _announced(child).items()}
        announcement = running.model_copy(update={"providers": providers}).model_dump_json()
        temporary = home.announcement.with_suffix(".new")
        temporary.write_text(announcement)
        temporary.replace(home.announcement)
        _log.info("serving: %s", announcement)
        while not ended.wait(0.5):
            if announced(home) != os.getpid():
                _log.error("another process, or none, is announced in %s", home.announcement)
                break
            for child in children:
                if child.poll() is not None:
                    # A half-working sandbox answers with riddles; the next command starts a whole one.
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
    """Registry, account and clusters, which know of each other. Raises PortTakenError."""
    registry = Registry(home.registry, EcrRepositories())
    account = Account(home.account, registry_host=registry.host, time_scale=time_scale)
    hooks = ExternalServices(image_check=PullCheck(registry, home.path), load_balancers=ElasticLoadBalancers(lambda: account.url))
    fleet = KubernetesClusterHost(home.kubernetes, account, hooks)
    account.clusters = fleet
    return registry, account, fleet


def _on_the_same_port(account: Account, memory: Path) -> str:
    """Start the account where it was before, so that shells with `sandbox env` in them stay right after a restart."""
    try:
        url = account.start(ports.remembered(memory))
    except OSError:
        url = ports.taken(account.start)  # nothing in the account names its own port
    memory.write_text(url.rpartition(":")[2])
    return url


def _provider_process(names: tuple[str, ...], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    # Its stdin is our end of a pipe: it closes when this process dies, however it dies, and the child goes with it.
    command = [sys.executable, "-m", "sandbox.providers", *names]
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _announced(child: subprocess.Popen[bytes]) -> dict[str, int]:
    line = child.stdout.readline() if child.stdout else b""
    if not line:
        raise RuntimeError(f"a provider process ended at its start with code {child.wait()}; its reason is above")
    numbers: dict[str, int] = json.loads(line)
    return numbers


if __name__ == "__main__":
    main()

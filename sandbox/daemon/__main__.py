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
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from fcntl import LOCK_EX, flock
from pathlib import Path
from urllib.parse import urlsplit

from sandbox.account import Account, JournalError
from sandbox.account.services.ecr.authorization_tokens import USER
from sandbox.account.services.ecr.images import EcrRepositories
from sandbox.builds import LocalBuildRunner
from sandbox.containers.engine_images import RegistryAccess
from sandbox.containers.pod_identity import PodIdentityAgent
from sandbox.containers.process_runtime import ProcessRuntime
from sandbox.containers.service_proxy import LocalServiceProxy
from sandbox.daemon.build_surroundings import build_surroundings
from sandbox.daemon.database_logs import DatabaseLogs
from sandbox.daemon.image_pulls import PullCheck
from sandbox.daemon.pod_runtime import RuntimeChoiceError, choose_runtime
from sandbox.databases.host import PostgresHost
from sandbox.engine.loopback import loopback_exemptions
from sandbox.kubernetes import cluster_host
from sandbox.kubernetes.cluster_host import KubernetesClusterHost
from sandbox.kubernetes.load_balancers import ElasticLoadBalancers
from sandbox.kubernetes.ports import ExternalServices
from sandbox.pipelines import (
    AccountClients,
    CodePipelineRunner,
    PushWatcher,
    Repositories,
    Services,
    SourcePoller,
)
from sandbox.registry import Registry
from sandbox.runtime import ports, stack_records
from sandbox.runtime.background import RESTART, DaemonInfo, code_fingerprint, read_info
from sandbox.runtime.certificate_authority import CertificateAuthority
from sandbox.runtime.damage import DamagedFileError
from sandbox.runtime.environment import NO_REAL_ACCOUNT, clean_environment
from sandbox.runtime.home import Home, user_cache

# Constructing pulumi-eks's components sets process-wide state, so they get their own process.
PROVIDER_PROCESSES = (("aws", "kubernetes", "docker"), ("eks",))

_DAMAGED = (
    "Nothing was changed. Restore the file from a copy, or keep what is readable: "
    "`python -m sandbox repair`."
)
_UNREADABLE = "Nothing was changed. Restore its permissions or a copy."
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
    parser.add_argument("--repair", action="store_true", help="repair the journal, then exit")
    arguments = parser.parse_args()
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    home = Home(arguments.home)
    ended, restart = threading.Event(), threading.Event()
    signal.signal(RESTART, lambda *_: _end_for_restart(restart, ended))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())

    # One process at a time uses the account. One whose published file is gone exits within 1 s.
    alive = (home.path / "alive.lock").open("w")
    flock(alive, LOCK_EX)
    if arguments.repair:
        _repair(home)
        return
    parts, kubernetes_url, account_url = _start_parts(home, arguments.time_scale)

    running = DaemonInfo(
        pid=os.getpid(),
        code=code_fingerprint(),
        time_scale=arguments.time_scale,
        account=account_url,
        kubernetes=kubernetes_url,
        registry=parts.registry.host,
        providers={},
        without_containers=parts.without_containers,
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
        parts.stop(restart=restart.is_set())
        for child in children:
            try:
                child.wait(timeout=10)
            except subprocess.TimeoutExpired:
                child.kill()


def _start_parts(home: Home, time_scale: float) -> tuple[_Parts, str, str]:
    """Start all parts; return them and the addresses of clusters and account.

    Exits with a message for files that are damaged and for ports that are taken.
    """
    try:
        parts = _Parts(home, time_scale)
        kubernetes_url = parts.clusters.start()
        account_url = _start_account(parts.account, home.account / "port")
    except JournalError as error:
        remedy = _DAMAGED if error.readable else _UNREADABLE
        sys.exit(f"{error}. {remedy if error.damaged else _OTHER_CODE} {_ERASE}")
    except (ports.PortTakenError, RuntimeChoiceError, DamagedFileError) as error:
        sys.exit(str(error))
    if lost := parts.clusters.recreated():
        _log.error("the files of cluster %s were lost; it has no objects", ", ".join(lost))
        stack_records.restored(home)
    parts.start_dependents()
    return parts, kubernetes_url, account_url


def _repair(home: Home) -> None:
    """Repair the account's journal and print the result as JSON."""
    registry = Registry(home.registry, EcrRepositories())
    try:
        repair = Account(home.account, registry_host=registry.host, time_scale=0.0).repair()
    except JournalError as error:
        sys.exit(f"{error}. Restore its permissions or a copy. {_ERASE}")
    moved = [str(path) for path in cluster_host.repair(home.kubernetes)]
    stack_records.restored(home)
    sys.stdout.write(json.dumps({**asdict(repair), "clusters": moved}) + "\n")


def _end_for_restart(restart: threading.Event, ended: threading.Event) -> None:
    restart.set()
    ended.set()


class _Parts:
    """Account, registry, clusters and what their pods need.

    Raises PortTakenError and RuntimeChoiceError.
    """

    def __init__(self, home: Home, time_scale: float) -> None:
        repositories = EcrRepositories()
        self.registry = Registry(home.registry, repositories)
        self.account = Account(
            home.account, registry_host=self.registry.host, time_scale=time_scale
        )
        repositories.permission_check = self.account.authorize
        authority = CertificateAuthority(home.certificate_authority)
        self.databases = PostgresHost(home.databases, authority, DatabaseLogs(self.account))
        self.account.databases = self.databases
        surroundings = build_surroundings(home, self.account, self.registry.host)
        self.builds = LocalBuildRunner(home.builds, surroundings)
        self.account.builds = self.builds
        clients = AccountClients(lambda: self.account.url)
        source_repositories = Repositories(home.repositories)
        self.pipelines = CodePipelineRunner(
            home.pipelines,
            Services(
                clients=clients,
                repositories=source_repositories,
                builds=self.builds,
                permits=self.account.authorize,
                time_scale=time_scale,
                emit=self.account.emit,
            ),
        )
        self.account.pipelines = self.pipelines
        self.pushes = PushWatcher(source_repositories, self.pipelines, clients)
        self.polls = SourcePoller(self.pipelines, clients)
        client = os.environ.get("SANDBOX_CLIENT_ADDRESS", "")
        self.proxy = LocalServiceProxy(
            home.service_proxy, client_address=client, authority=authority
        )
        self.pod_identity = PodIdentityAgent(home.pods, lambda: self.account.url)
        processes = ProcessRuntime(
            home.pods,
            home.path,
            user_cache() / "environments",
            lambda: _pod_environment(self.account.url),
        )
        runtime, self.without_containers = choose_runtime(
            home,
            processes,
            registry=RegistryAccess(
                host=self.registry.host, credentials=_credentials(repositories)
            ),
            environment=lambda: _pod_environment(self.account.url),
            endpoints=self._endpoints,
        )
        external = ExternalServices(
            runtime=runtime,
            service_proxy=self.proxy,
            host_names=self.databases.addresses,
            pod_identity=self.pod_identity,
            pod_directory=home.pods / "volumes",
            available=threading.Event(),
            image_check=PullCheck(self.registry, home.path),
            load_balancers=ElasticLoadBalancers(lambda: self.account.url),
        )
        self.clusters = KubernetesClusterHost(home.kubernetes, self.account, external)
        self.account.clusters = self.clusters

    def _endpoints(self) -> Mapping[str, Collection[int]]:
        """Return the ports on loopback that containers of an engine reach."""
        account = urlsplit(self.account.url).port
        own = {"127.0.0.1": [account]} if account else {}
        return {**own, **self.proxy.endpoints(), **self.databases.endpoints()}

    def start_dependents(self) -> None:
        """Start what needs the account."""
        self.registry.start()
        self.pod_identity.start()
        self.clusters.external.available.set()
        self.pipelines.resume()
        self.pushes.start()
        self.polls.start()

    def stop(self, *, restart: bool) -> None:
        """Stop all parts; a restart leaves pods, connections and databases running."""
        self.pushes.stop()
        self.polls.stop()
        self.pipelines.close()  # before the builds, whose end it must not record
        self.builds.close()
        self.proxy.stop(keep_process=restart)  # connections end before the pods
        self.pod_identity.stop()
        self.registry.stop()
        self.account.stop()
        self.clusters.stop(keep_pods=restart)
        if not restart:
            self.databases.stop()


def _credentials(repositories: EcrRepositories) -> Callable[[], tuple[str, str]]:
    return lambda: (USER, repositories.tokens.issue()[0])


def _pod_environment(account_url: str) -> dict[str, str]:
    """Return the variables that direct AWS clients in pods to the account."""
    return {
        "AWS_ENDPOINT_URL": account_url,
        **NO_REAL_ACCOUNT,
        **loopback_exemptions({}),
    }


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

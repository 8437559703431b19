"""A real Kubernetes control plane on loopback, from the programs of `make kubernetes`."""

from __future__ import annotations

import json
import os
import secrets
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from sandbox.kubernetes.apiserver import certificates
from sandbox.runtime import control_plane_processes, kubernetes_build, ports
from sandbox.runtime.certificate_authority import write_private

_START_SECONDS = 60
_STOP_SECONDS = 15
# Runs pods and nodes: without these, the API server only stores objects.
SIMULATION = ("kube-controller-manager", "kube-scheduler", "kwok")


class ControlPlaneError(Exception):
    """A program of the control plane is missing or does not start; the message says why."""


class ControlPlane:
    """etcd and kube-apiserver with their data in `directory`; `run` starts further programs.

    `token` authenticates a member of system:masters. A directory that was used before keeps its
    objects and its port.
    """

    def __init__(self, directory: Path, *, service_cidr: str = "10.100.0.0/16") -> None:
        programs = kubernetes_build.built()
        if programs is None:
            raise ControlPlaneError(
                "the Kubernetes control plane is not built; `make kubernetes` builds it."
            )
        self._programs, self._directory, self._service_cidr = programs, directory, service_cidr
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        directory.mkdir(parents=True, exist_ok=True)
        self.ca_pem, self._certificate, self._key = certificates.ensure(directory / "tls")
        self.token = _stored(directory / "token", secrets.token_hex(16))
        self.port = int(_stored(directory / "port", str(ports.free_port())))
        self.url = f"https://127.0.0.1:{self.port}"

    def start(self, *, options: Sequence[str] = ()) -> None:
        """Start etcd and the API server and wait until it is ready. `options` are the latter's."""
        control_plane_processes.end(self._directory)  # of a process that was killed
        etcd, peer = ports.free_port(), ports.free_port()
        self._spawn(
            "etcd",
            f"--data-dir={self._directory / 'etcd'}",
            f"--listen-client-urls=http://127.0.0.1:{etcd}",
            f"--advertise-client-urls=http://127.0.0.1:{etcd}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}",
            "--unsafe-no-fsync",
            "--log-level=error",
        )
        self._write_service_account_key()
        users = self._directory / "tokens.csv"
        write_private(users, f'{self.token},admin,admin,"system:masters"\n'.encode())
        self._spawn(
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{etcd}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",
            f"--secure-port={self.port}",
            f"--tls-cert-file={self._certificate}",
            f"--tls-private-key-file={self._key}",
            f"--token-auth-file={users}",
            f"--service-account-key-file={self._directory / 'service-account.pub'}",
            f"--service-account-signing-key-file={self._directory / 'service-account.key'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-cluster-ip-range={self._service_cidr}",
            "--authorization-mode=RBAC",
            "--allow-privileged=true",
            *options,
        )
        self._wait()

    def run(self, *programs: str, controllers: str = "*") -> None:
        """Start programs of SIMULATION; `controllers` selects those of the controller manager."""
        config = self.write_kubeconfig()
        arguments: Mapping[str, Sequence[str]] = {
            "kube-controller-manager": (
                f"--kubeconfig={config}",
                "--leader-elect=false",
                "--secure-port=0",
                f"--controllers={controllers}",
                "--use-service-account-credentials=false",
                f"--service-account-private-key-file={self._directory / 'service-account.key'}",
                f"--root-ca-file={self._directory / 'tls' / 'ca.pem'}",
                "--concurrent-gc-syncs=5",
                # On a busy machine, heartbeats of the simulated nodes are late.
                "--node-monitor-grace-period=1h",
            ),
            "kube-scheduler": (
                f"--kubeconfig={config}", "--leader-elect=false", "--secure-port=0",
            ),
            "kwok": (
                f"--kubeconfig={config}",
                "--manage-all-nodes=true",
                f"--config={self._programs / kubernetes_build.STAGES}",
                "--server-address=",
            ),
        }  # fmt: skip
        for name in programs:
            self._spawn(name, *arguments[name])

    def write_kubeconfig(self) -> Path:
        """Write the administrator's kubeconfig and return its path."""
        path = self._directory / "kubeconfig"
        cluster = {
            "server": self.url,
            "certificate-authority": str(self._directory / "tls" / "ca.pem"),
        }
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "control-plane", "cluster": cluster}],
            "users": [{"name": "admin", "user": {"token": self.token}}],
            "contexts": [
                {"name": "control-plane", "context": {"cluster": "control-plane", "user": "admin"}}
            ],
            "current-context": "control-plane",
        }
        write_private(path, json.dumps(content).encode())
        return path

    def stop(self) -> None:
        """Stop all programs, the API server before etcd; objects remain in the directory."""
        for name in reversed(list(self._processes)):
            process = self._processes.pop(name)
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _spawn(self, name: str, *arguments: str) -> None:
        with (self._directory / f"{name}.log").open("wb") as log:
            self._processes[name] = subprocess.Popen(
                [self._programs / name, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._directory,
                env={**os.environ, "GOMAXPROCS": "2"},
            )
        control_plane_processes.record(self._directory, name, self._processes[name].pid)

    def _wait(self) -> None:
        trust = ssl.create_default_context(cadata=self.ca_pem)
        request = urllib.request.Request(  # noqa: S310 - https on loopback
            f"{self.url}/readyz", headers={"Authorization": f"Bearer {self.token}"}
        )
        deadline = time.monotonic() + _START_SECONDS
        while True:
            for name, process in self._processes.items():
                if process.poll() is not None:
                    log = self._directory / f"{name}.log"
                    lines = log.read_text(errors="replace").strip().splitlines() or ["no output"]
                    self.stop()
                    raise ControlPlaneError(
                        f"{name} ended with exit code {process.returncode}: {lines[-1]}; "
                        f"its log is {log}."
                    )
            try:
                with urllib.request.urlopen(request, context=trust, timeout=5):  # noqa: S310
                    return
            except (urllib.error.URLError, OSError):
                if time.monotonic() > deadline:
                    self.stop()
                    raise ControlPlaneError(
                        f"kube-apiserver is not ready after {_START_SECONDS} s; its log is "
                        f"{self._directory / 'kube-apiserver.log'}."
                    ) from None
            time.sleep(0.1)

    def _write_service_account_key(self) -> None:
        path = self._directory / "service-account.key"
        if path.exists():
            return
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        (self._directory / "service-account.pub").write_bytes(
            key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        write_private(
            path,
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            ),
        )


def _stored(path: Path, value: str) -> str:
    """Return the content of a file, which is written with `value` on first use."""
    if not path.exists():
        write_private(path, value.encode())
    return path.read_text()

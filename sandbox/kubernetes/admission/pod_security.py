"""Pod Security Standards: violations of the levels `baseline` and `restricted`.

Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/; messages are the
controller's. AppArmor, SELinux user and role, procMount and sysctls are checked where a pod sets
them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_BASELINE_CAPABILITIES = frozenset({
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE",
    "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
})  # fmt: skip
_SAFE_SYSCTLS = frozenset({
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
})  # fmt: skip
_RESTRICTED_VOLUMES = frozenset({
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim",
    "projected", "secret", "image",
})  # fmt: skip


def violations(level: str, spec: Mapping[str, Any]) -> list[str]:
    """Return the violations of a level in a pod spec; none for `privileged` or no level."""
    if level not in {"baseline", "restricted"}:
        return []
    containers = [
        *(spec.get("initContainers") or ()),
        *(spec.get("containers") or ()),
        *(spec.get("ephemeralContainers") or ()),
    ]
    problems = list(_baseline(spec, containers))
    if level == "restricted":
        # Stricter controls of this level replace those of baseline.
        replaced = ("hostPath volumes ", "non-default capabilities ")
        problems = [text for text in problems if not text.startswith(replaced)]
        problems += _restricted(spec, containers)
    return problems


def _names(containers: Iterable[Mapping[str, Any]]) -> str:
    names = [f'"{container.get("name", "")}"' for container in containers]
    return ("container " if len(names) == 1 else "containers ") + ", ".join(names)


def _context(container: Mapping[str, Any]) -> Mapping[str, Any]:
    return container.get("securityContext") or {}


def _baseline(spec: Mapping[str, Any], containers: list[Mapping[str, Any]]) -> Iterable[str]:  # noqa: PLR0912 - one per control
    pod = spec.get("securityContext") or {}
    used = [f"{name}=true" for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    if used:
        yield f"host namespaces ({', '.join(used)})"
    ports = [c for c in containers if any(port.get("hostPort") for port in c.get("ports") or ())]
    if ports:
        numbers = sorted(
            {str(port["hostPort"]) for c in ports for port in c["ports"] if port.get("hostPort")}
        )
        yield (
            f"hostPort ({_names(ports)} uses hostPort{'s' if len(numbers) > 1 else ''} "
            f"{', '.join(numbers)})"
        )
    if bad := [c for c in containers if _context(c).get("privileged")]:
        yield f"privileged ({_names(bad)} must not set securityContext.privileged=true)"
    paths = [f'"{v.get("name", "")}"' for v in spec.get("volumes") or () if "hostPath" in v]
    if paths:
        yield f"hostPath volumes (volume{'s' if len(paths) > 1 else ''} {', '.join(paths)})"
    bad = []
    added: set[str] = set()
    for container in containers:
        extra = (
            set((_context(container).get("capabilities") or {}).get("add") or ())
            - _BASELINE_CAPABILITIES
        )
        if extra:
            bad.append(container)
            added |= extra
    if bad:
        listed = ", ".join(f'"{name}"' for name in sorted(added))
        yield (
            f"non-default capabilities ({_names(bad)} must not include {listed} in "
            "securityContext.capabilities.add)"
        )
    if bad := [c for c in containers if _context(c).get("procMount", "Default") != "Default"]:
        yield f"procMount ({_names(bad)} must not set securityContext.procMount)"
    unsafe = [
        s.get("name", "") for s in pod.get("sysctls") or () if s.get("name") not in _SAFE_SYSCTLS
    ]
    if unsafe:
        yield f"forbidden sysctls ({', '.join(unsafe)})"
    holders: list[tuple[str, Mapping[str, Any]]] = [
        ("pod", pod),
        *((_names([c]), _context(c)) for c in containers),
    ]
    for holder, context in holders:
        if (context.get("seccompProfile") or {}).get("type") == "Unconfined":
            yield (
                f"seccompProfile ({holder} must not set securityContext.seccompProfile.type "
                'to "Unconfined")'
            )
        if (context.get("appArmorProfile") or {}).get("type") == "Unconfined":
            yield (
                f"appArmorProfile ({holder} must not set securityContext.appArmorProfile.type "
                'to "Unconfined")'
            )
        options = context.get("seLinuxOptions") or {}
        if options.get("user") or options.get("role"):
            yield (
                f"seLinuxOptions ({holder} set forbidden securityContext.seLinuxOptions: user "
                "or role)"
            )
        if (context.get("windowsOptions") or {}).get("hostProcess"):
            yield (
                f"hostProcess ({holder} must not set "
                "securityContext.windowsOptions.hostProcess=true)"
            )


def _restricted(spec: Mapping[str, Any], containers: list[Mapping[str, Any]]) -> Iterable[str]:
    pod = spec.get("securityContext") or {}
    if bad := [c for c in containers if _context(c).get("allowPrivilegeEscalation") is not False]:
        yield (
            f"allowPrivilegeEscalation != false ({_names(bad)} must set "
            "securityContext.allowPrivilegeEscalation=false)"
        )
    parts = []
    if bad := [
        c
        for c in containers
        if "ALL" not in ((_context(c).get("capabilities") or {}).get("drop") or ())
    ]:
        parts.append(f'{_names(bad)} must set securityContext.capabilities.drop=["ALL"]')
    added = {
        name
        for c in containers
        for name in (_context(c).get("capabilities") or {}).get("add") or ()
        if name != "NET_BIND_SERVICE"
    }
    if added:
        bad = [
            c
            for c in containers
            if added & set((_context(c).get("capabilities") or {}).get("add") or ())
        ]
        listed = ", ".join(f'"{name}"' for name in sorted(added))
        parts.append(f"{_names(bad)} must not include {listed} in securityContext.capabilities.add")
    if parts:
        yield f"unrestricted capabilities ({'; '.join(parts)})"
    for volume in spec.get("volumes") or ():
        kinds = set(volume) - {"name"} - _RESTRICTED_VOLUMES
        if kinds:
            yield (
                f'restricted volume types (volume "{volume.get("name", "")}" uses restricted '
                f'volume type "{min(kinds)}")'
            )
    bad = [c for c in containers if not _context(c).get("runAsNonRoot", pod.get("runAsNonRoot"))]
    if bad:
        yield (
            f"runAsNonRoot != true (pod or {_names(bad)} must set "
            "securityContext.runAsNonRoot=true)"
        )
    if pod.get("runAsUser") == 0:
        yield "runAsUser=0 (pod must not set runAsUser=0)"
    if bad := [c for c in containers if _context(c).get("runAsUser") == 0]:
        yield f"runAsUser=0 ({_names(bad)} must not set runAsUser=0)"
    default = (pod.get("seccompProfile") or {}).get("type")
    bad = [
        c
        for c in containers
        if ((_context(c).get("seccompProfile") or {}).get("type") or default)
        not in {"RuntimeDefault", "Localhost"}
    ]
    if bad:
        yield (
            f"seccompProfile (pod or {_names(bad)} must set securityContext.seccompProfile.type "
            'to "RuntimeDefault" or "Localhost")'
        )

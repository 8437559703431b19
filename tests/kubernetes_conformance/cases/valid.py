"""Valid objects: they are accepted with strict field validation, with the same defaults."""

from __future__ import annotations

from tests.kubernetes_conformance import objects as o
from tests.kubernetes_conformance.case import Case, Json, change, create
from tests.program.snapshot import load_snapshot

_PROBE = {"httpGet": {"port": 8080}}
_CONTAINER: Json = {
    "name": "app",
    "image": "registry/app",
    "ports": [{"containerPort": 8080}],
    "env": [
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "a"}}},
        {"name": "S", "valueFrom": {"secretKeyRef": {"name": "password", "key": "a"}}},
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
    ],
    "resources": {"limits": {"cpu": "0.5", "memory": "128Mi"}, "requests": {"cpu": "100m"}},
    "readinessProbe": _PROBE,
    "livenessProbe": {"tcpSocket": {"port": 8080}},
    "startupProbe": {"grpc": {"port": 9000}},
    "lifecycle": {"preStop": {"httpGet": {"port": 8080}}},
    "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
}
_VOLUMES: list[Json] = [
    {"name": "tmp", "emptyDir": {}},
    {"name": "c", "configMap": {"name": "settings"}},
    {"name": "s", "secret": {"secretName": "password"}},
    {"name": "d", "downwardAPI": {"items": [{"path": "n", "fieldRef": {"fieldPath": "metadata.name"}}]}},
    {"name": "p", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
    {"name": "h", "hostPath": {"path": "/var/log"}},
]  # fmt: skip
_METRIC: Json = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
}
_OBJECTS: dict[str, Json] = {
    "pod": o.pod(),
    "pod with everything": o.pod(containers=[_CONTAINER], volumes=_VOLUMES),
    "pod with a sidecar": o.pod(
        initContainers=[{"name": "side", "image": "side", "restartPolicy": "Always"}]
    ),
    "pod with spread and affinity": o.pod(
        topologySpreadConstraints=[
            {
                "maxSkew": 1,
                "topologyKey": "topology.kubernetes.io/zone",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"app": "web"}},
            }
        ],
        affinity={
            "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [
                    {"topologyKey": "kubernetes.io/hostname", "labelSelector": {}}
                ]
            }
        },
    ),
    "deployment": o.deployment(),
    "deployment with recreate": o.deployment(strategy={"type": "Recreate"}),
    "deployment with surge": o.deployment(strategy={"rollingUpdate": {"maxSurge": 1}}),
    "replica set": o.replica_set(),
    "stateful set": o.stateful_set(),
    "stateful set with claims": o.stateful_set(volumeClaimTemplates=[o.claim()]),
    "daemon set": o.daemon_set(),
    "job": o.job(),
    "indexed job": o.job(completionMode="Indexed", completions=3, parallelism=2),
    "job with a policy": o.job(
        podFailurePolicy={
            "rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}]
        }
    ),
    "cron job": o.cron_job(),
    "cron job with a time zone": o.cron_job(timeZone="Etc/UTC", concurrencyPolicy="Forbid"),
    "service": o.service(),
    "headless service": o.service(clusterIP="None"),
    "service without selector": change(o.service(), {"spec.selector": {}}),
    "node port": o.service(type="NodePort"),
    "load balancer": o.service(type="LoadBalancer", loadBalancerSourceRanges=["10.0.0.0/8"]),
    "load balancer class": o.service(
        type="LoadBalancer", loadBalancerClass="eks.amazonaws.com/nlb"
    ),
    "external name": {
        **o.service(), "spec": {"type": "ExternalName", "externalName": "db.example.com"}
    },
    "service with affinity": o.service(sessionAffinity="ClientIP"),
    "service with two ports": o.service(
        ports=[{"name": "http", "port": 80, "targetPort": "http"}, {"name": "dns", "port": 53, "protocol": "UDP"}]
    ),
    "ingress": o.ingress(),
    "ingress with a default backend": {
        **o.ingress(),
        "spec": {"defaultBackend": {"service": {"name": "web", "port": {"name": "http"}}}},
    },
    "ingress with TLS": o.ingress(tls=[{"hosts": ["web.example.com"], "secretName": "tls"}]),
    "network policy": o.network_policy(),
    "network policy with egress": o.network_policy(
        egress=[{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 53}]}]
    ),
    "autoscaler": o.autoscaler(),
    "autoscaler with a metric": o.autoscaler(metrics=[_METRIC]),
    "autoscaler with behavior": o.autoscaler(
        metrics=[_METRIC], behavior={"scaleDown": {"stabilizationWindowSeconds": 60}}
    ),
    "budget": o.budget(),
    "budget with a percentage": change(
        o.budget(maxUnavailable="50%"), {"spec.minAvailable": None}
    ),
    "config map": o.config_map(binaryData={"b": "AAE="}),
    "immutable config map": o.config_map(immutable=True),
    "secret": o.secret(),
    "tls secret": {
        **o.secret(type="kubernetes.io/tls"), "stringData": {"tls.crt": "c", "tls.key": "k"}
    },
    "quota": o.quota(pods="3", **{"requests.cpu": "2", "limits.memory": "1Gi"}),
    "limit range": o.limit_range(),
    "service account": o.service_account(automountServiceAccountToken=False),
    "role": o.role(),
    "role binding": o.role_binding(),
    "claim": o.claim(),
    "namespace": o.namespace(),
    "priority class": o.priority_class(),
    "storage class": o.storage_class(),
    "ingress class": o.ingress_class(),
    "definition": o.custom_definition(),
    "generated name": change(
        o.config_map(), {"metadata.generateName": "settings-", "metadata.name": ""}
    ),
    "quantities in other units": o.pod(
        containers=[
            {
                "name": "app",
                "image": "app",
                "resources": {"limits": {"cpu": "1500m", "memory": "1024Mi"}},
            }
        ]
    ),
    "numbers as quantities": o.pod(
        containers=[{"name": "app", "image": "app", "resources": {"limits": {"cpu": 2}}}]
    ),
}  # fmt: skip


def _environment(stack: str) -> list[Case]:
    """Return the Kubernetes objects that the program creates."""
    documents: list[Json] = [
        item["inputs"]
        for key, item in load_snapshot(stack).items()
        if "kubernetes:" in key and "apiVersion" in item["inputs"]
    ]
    cases = []
    for document in documents:
        metadata = {k: v for k, v in document["metadata"].items() if k != "namespace"}
        if document["kind"] in {"Namespace", "IngressClass", "StorageClass"}:
            metadata["name"] = "{ns}-" + metadata["name"]
        name = f"{stack}: {document['kind']} {document['metadata']['name']}"
        cases.append(Case(name, (create({**document, "metadata": metadata}),)))
    return cases


CASES = [
    *(Case(f"valid {name}", (create(document),)) for name, document in _OBJECTS.items()),
    *_environment("dev"),
    *_environment("prod"),
]

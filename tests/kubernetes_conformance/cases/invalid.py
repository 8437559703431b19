"""Invalid objects: the same fields are refused with the same messages."""

from __future__ import annotations

from typing import Any

from tests.kubernetes_conformance import objects as o
from tests.kubernetes_conformance.case import (
    REMOVE,
    Call,
    Case,
    Json,
    change,
    create,
    path_of,
    replace,
)

_POD = "spec.template.spec"
_FIRST = f"{_POD}.containers.0"
_INGRESS_PATH = "spec.rules.0.http.paths.0"
_LONG = "a" * 64

# Name, object, changes by path.
_CREATED: tuple[tuple[str, Json, dict[str, Any]], ...] = (
    ("unknown field", o.deployment(), {"spec.replica": 2}),
    ("two unknown fields", o.deployment(), {"spec.replica": 2, f"{_FIRST}.imagee": "x"}),
    ("unknown field of a list", o.service(), {"spec.ports.0.prot": 2}),
    ("wrong type of replicas", o.deployment(), {"spec.replicas": "two"}),
    ("wrong type of ports", o.service(), {"spec.ports": {}}),
    ("wrong type of a label", o.config_map(), {"metadata.labels": {"a": 1}}),
    ("wrong type of data", o.config_map(), {"data": {"a": 1}}),
    ("wrong type of a boolean", o.pod(), {"spec.hostNetwork": "yes"}),
    ("wrong type of a container", o.deployment(), {f"{_POD}.containers": ["app"]}),
    ("number too large", o.deployment(), {"spec.replicas": 2**31}),
    ("wrong base64", o.secret(), {"data": {"a": "?"}}),
    ("other kind", o.config_map(), {"kind": "Secret"}),
    ("other version", o.deployment(), {"apiVersion": "apps/v1beta1"}),
    ("no name", o.config_map(), {"metadata.name": ""}),
    ("capital letter in a name", o.config_map("Settings"), {}),
    ("name with an underscore", o.deployment("my_web"), {}),
    ("long name", o.config_map("a" * 254), {}),
    ("long service name", o.service(_LONG), {}),
    ("service name with a digit first", o.service("1web"), {}),
    ("service name with a dot", o.service("web.a"), {}),
    ("label key", o.config_map(), {"metadata.labels": {"a b": "1"}}),
    ("label value", o.config_map(), {"metadata.labels": {"a": "-1"}}),
    ("long label value", o.config_map(), {"metadata.labels": {"a": _LONG}}),
    ("label prefix", o.config_map(), {"metadata.labels": {"A_/b": "1"}}),
    ("annotation key", o.config_map(), {"metadata.annotations": {"a b": "1"}}),
    ("large annotations", o.config_map(), {"metadata.annotations": {"a": "x" * 262145}}),
    ("finalizer", o.config_map(), {"metadata.finalizers": ["a b"]}),
    ("owner without uid", o.config_map(), {
        "metadata.ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": ""}]}),
    ("resource version on creation", o.config_map(), {"metadata.resourceVersion": "1"}),
    ("other namespace", o.config_map(), {"metadata.namespace": "other"}),
    ("config map key", o.config_map(), {"data": {"a b": "1"}}),
    ("config map key twice", o.config_map(), {"binaryData": {"a": "AAE="}}),
    ("large config map", o.config_map(), {"data": {"a": "x" * (1024 * 1024 + 1)}}),
    ("large secret", o.secret(), {"stringData": {"a": "x" * (1024 * 1024 + 1)}}),
    ("secret key", o.secret(), {"stringData": {"a b": "1"}}),
    ("tls secret without key", o.secret(), {"type": "kubernetes.io/tls"}),
    ("negative replicas", o.deployment(), {"spec.replicas": -1}),
    ("no selector", o.deployment(), {"spec.selector": REMOVE}),
    ("empty selector", o.deployment(), {"spec.selector": {}}),
    ("selector does not match", o.deployment(), {"spec.selector.matchLabels.app": "other"}),
    ("no template", o.deployment(), {"spec.template": REMOVE}),
    ("no spec", o.deployment(), {"spec": REMOVE}),
    ("no containers", o.deployment(), {f"{_POD}.containers": []}),
    ("unknown strategy", o.deployment(), {"spec.strategy": {"type": "Sudden"}}),
    ("recreate with parameters", o.deployment(), {
        "spec.strategy": {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}}),
    ("neither surge nor unavailable", o.deployment(), {
        "spec.strategy.rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}),
    ("surge is no percentage", o.deployment(), {"spec.strategy.rollingUpdate": {"maxSurge": "x"}}),
    ("unavailable above 100%", o.deployment(), {
        "spec.strategy.rollingUpdate": {"maxUnavailable": "101%"}}),
    ("short deadline", o.deployment(), {"spec.minReadySeconds": 600}),
    ("restart policy of a deployment", o.deployment(), {f"{_POD}.restartPolicy": "Never"}),
    ("deadline of a deployment's pods", o.deployment(), {f"{_POD}.activeDeadlineSeconds": 5}),
    ("container without name", o.deployment(), {f"{_FIRST}.name": ""}),
    ("container without image", o.deployment(), {f"{_FIRST}.image": REMOVE}),
    ("image with spaces", o.deployment(), {f"{_FIRST}.image": " app"}),
    ("container name", o.deployment(), {f"{_FIRST}.name": "App"}),
    ("container name twice", o.deployment(), {f"{_POD}.containers.1": o.pod_spec()["containers"][0]}),
    ("pull policy", o.deployment(), {f"{_FIRST}.imagePullPolicy": "Sometimes"}),
    ("environment name", o.deployment(), {f"{_FIRST}.env": [{"name": "a=b", "value": "1"}]}),
    ("environment without name", o.deployment(), {f"{_FIRST}.env": [{"value": "1"}]}),
    ("environment with two values", o.deployment(), {f"{_FIRST}.env": [
        {"name": "A", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}),
    ("environment field", o.deployment(), {f"{_FIRST}.env": [
        {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.other"}}}]}),
    ("environment without source", o.deployment(), {f"{_FIRST}.env": [{"name": "A", "valueFrom": {}}]}),
    ("port 0", o.deployment(), {f"{_FIRST}.ports": [{"containerPort": 0}]}),
    ("port 70000", o.deployment(), {f"{_FIRST}.ports": [{"containerPort": 70000}]}),
    ("port protocol", o.deployment(), {f"{_FIRST}.ports": [{"containerPort": 80, "protocol": "X"}]}),
    ("port name", o.deployment(), {f"{_FIRST}.ports": [{"containerPort": 80, "name": "a_b"}]}),
    ("long port name", o.deployment(), {f"{_FIRST}.ports": [{"containerPort": 80, "name": "a" * 16}]}),
    ("port name twice", o.deployment(), {f"{_FIRST}.ports": [
        {"containerPort": 80, "name": "a"}, {"containerPort": 81, "name": "a"}]}),
    ("probe without handler", o.deployment(), {f"{_FIRST}.readinessProbe": {}}),
    ("probe with two handlers", o.deployment(), {f"{_FIRST}.readinessProbe": {
        "httpGet": {"port": 80}, "tcpSocket": {"port": 80}}}),
    ("probe with a negative delay", o.deployment(), {f"{_FIRST}.readinessProbe": {
        "httpGet": {"port": 80}, "initialDelaySeconds": -1}}),
    ("liveness with two successes", o.deployment(), {f"{_FIRST}.livenessProbe": {
        "httpGet": {"port": 80}, "successThreshold": 2}}),
    ("probe port name", o.deployment(), {f"{_FIRST}.readinessProbe": {"httpGet": {"port": "a_b"}}}),
    ("probe without port", o.deployment(), {f"{_FIRST}.readinessProbe": {"httpGet": {}}}),
    ("probe scheme", o.deployment(), {f"{_FIRST}.readinessProbe": {
        "httpGet": {"port": 80, "scheme": "http"}}}),
    ("lifecycle without handler", o.deployment(), {f"{_FIRST}.lifecycle": {"preStop": {}}}),
    ("quantity", o.deployment(), {f"{_FIRST}.resources": {"limits": {"cpu": "one"}}}),
    ("negative quantity", o.deployment(), {f"{_FIRST}.resources": {"limits": {"cpu": "-1"}}}),
    ("request above limit", o.deployment(), {f"{_FIRST}.resources": {
        "requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}),
    ("unknown resource", o.deployment(), {f"{_FIRST}.resources": {"limits": {"cpus": "1"}}}),
    ("mount without volume", o.deployment(), {f"{_FIRST}.volumeMounts": [
        {"name": "tmp", "mountPath": "/tmp"}]}),
    ("mount without path", o.deployment(), {
        f"{_FIRST}.volumeMounts": [{"name": "tmp", "mountPath": ""}],
        f"{_POD}.volumes": [{"name": "tmp", "emptyDir": {}}]}),
    ("mount path twice", o.deployment(), {
        f"{_FIRST}.volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}] * 2,
        f"{_POD}.volumes": [{"name": "tmp", "emptyDir": {}}]}),
    ("volume twice", o.deployment(), {f"{_POD}.volumes": [{"name": "tmp", "emptyDir": {}}] * 2}),
    ("volume with two sources", o.deployment(), {f"{_POD}.volumes": [
        {"name": "a", "emptyDir": {}, "configMap": {"name": "a"}}]}),
    ("volume without config map", o.deployment(), {f"{_POD}.volumes": [{"name": "a", "configMap": {}}]}),
    ("volume without secret", o.deployment(), {f"{_POD}.volumes": [{"name": "a", "secret": {}}]}),
    ("volume mode", o.deployment(), {f"{_POD}.volumes": [
        {"name": "a", "configMap": {"name": "a", "defaultMode": 9999}}]}),
    ("volume name", o.deployment(), {f"{_POD}.volumes": [{"name": "A", "emptyDir": {}}]}),
    ("restart policy", o.pod(restartPolicy="Sometimes"), {}),
    ("dns policy", o.pod(dnsPolicy="Other"), {}),
    ("negative grace period", o.pod(terminationGracePeriodSeconds=-1), {}),
    ("toleration", o.pod(tolerations=[{"key": "a", "operator": "Is"}]), {}),
    ("toleration with a value", o.pod(tolerations=[{"key": "a", "operator": "Exists", "value": "b"}]), {}),
    ("toleration effect", o.pod(tolerations=[{"key": "a", "operator": "Exists", "effect": "No"}]), {}),
    ("node selector", o.pod(nodeSelector={"a b": "c"}), {}),
    ("spread without skew", o.pod(topologySpreadConstraints=[
        {"maxSkew": 0, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]), {}),
    ("spread action", o.pod(topologySpreadConstraints=[
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "Never"}]), {}),
    ("affinity without key", o.pod(affinity={"podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": ""}]}}), {}),
    ("affinity weight", o.pod(affinity={"podAntiAffinity": {
        "preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 0, "podAffinityTerm": {"topologyKey": "zone"}}]}}), {}),
    ("run as root and not", o.pod(securityContext={"runAsNonRoot": True, "runAsUser": -1}), {}),
    ("capability conflict", o.pod(), {"spec.containers.0.securityContext": {
        "privileged": True, "allowPrivilegeEscalation": False}}),
    ("priority class missing", o.pod(priorityClassName="missing"), {}),
    ("service account missing", o.pod(serviceAccountName="missing"), {}),
    ("daemon set restart policy", o.daemon_set(), {f"{_POD}.restartPolicy": "OnFailure"}),
    ("daemon set strategy", o.daemon_set(), {"spec.updateStrategy": {"type": "Sudden"}}),
    ("stateful set policy", o.stateful_set(), {"spec.podManagementPolicy": "Random"}),
    ("stateful set strategy", o.stateful_set(), {"spec.updateStrategy": {"type": "Sudden"}}),
    ("job without restart policy", o.job(), {f"{_POD}.restartPolicy": REMOVE}),
    ("job that always restarts", o.job(), {f"{_POD}.restartPolicy": "Always"}),
    ("negative backoff limit", o.job(), {"spec.backoffLimit": -1}),
    ("completion mode", o.job(), {"spec.completionMode": "Other"}),
    ("indexed job without completions", o.job(), {"spec.completionMode": "Indexed"}),
    ("schedule", o.cron_job(), {"spec.schedule": "0 3 * *"}),
    ("schedule out of range", o.cron_job(), {"spec.schedule": "61 3 * * *"}),
    ("concurrency policy", o.cron_job(), {"spec.concurrencyPolicy": "Maybe"}),
    ("time zone", o.cron_job(), {"spec.timeZone": "Mars/Base"}),
    ("long cron job name", o.cron_job("a" * 53), {}),
    ("service type", o.service(), {"spec.type": "Public"}),
    ("service without ports", o.service(), {"spec.ports": []}),
    ("service port 0", o.service(), {"spec.ports.0.port": 0}),
    ("service port name missing", o.service(), {"spec.ports": [{"port": 80}, {"port": 81}]}),
    ("service port twice", o.service(), {"spec.ports": [
        {"name": "a", "port": 80}, {"name": "b", "port": 80}]}),
    ("service port name twice", o.service(), {"spec.ports": [
        {"name": "a", "port": 80}, {"name": "a", "port": 81}]}),
    ("target port name", o.service(), {"spec.ports.0.targetPort": "a_b"}),
    ("node port out of range", o.service(), {"spec.type": "NodePort", "spec.ports.0.nodePort": 80}),
    ("node port of a cluster IP", o.service(), {"spec.ports.0.nodePort": 30080}),
    ("cluster IP", o.service(), {"spec.clusterIP": "10.1.2"}),
    ("cluster IP out of range", o.service(), {"spec.clusterIP": "192.168.0.1"}),
    ("external name missing", o.service(), {"spec": {"type": "ExternalName"}}),
    ("affinity of a service", o.service(), {"spec.sessionAffinity": "Cookie"}),
    ("source range", o.service(), {
        "spec.type": "LoadBalancer", "spec.loadBalancerSourceRanges": ["10.0.0.0"]}),
    ("traffic policy", o.service(), {"spec.type": "LoadBalancer", "spec.externalTrafficPolicy": "X"}),
    ("ingress without rules", o.ingress(), {"spec": {}}),
    ("ingress host", o.ingress(), {"spec.rules.0.host": "Web"}),
    ("ingress host is an address", o.ingress(), {"spec.rules.0.host": "10.0.0.1"}),
    ("ingress wildcard", o.ingress(), {"spec.rules.0.host": "*.*.example.com"}),
    ("ingress path", o.ingress(), {f"{_INGRESS_PATH}.path": "a"}),
    ("ingress path type", o.ingress(), {f"{_INGRESS_PATH}.pathType": "Regex"}),
    ("ingress without path type", o.ingress(), {f"{_INGRESS_PATH}.pathType": REMOVE}),
    ("ingress path with dots", o.ingress(), {f"{_INGRESS_PATH}.path": "/a/../b"}),
    ("ingress without port", o.ingress(), {f"{_INGRESS_PATH}.backend.service.port": {}}),
    ("ingress with two ports", o.ingress(), {
        f"{_INGRESS_PATH}.backend.service.port": {"name": "a", "number": 80}}),
    ("ingress without backend", o.ingress(), {f"{_INGRESS_PATH}.backend": {}}),
    ("policy CIDR", o.network_policy(), {"spec.ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/33"}}]}]}),
    ("policy exception", o.network_policy(), {"spec.ingress": [{"from": [
        {"ipBlock": {"cidr": "10.0.0.0/16", "except": ["11.0.0.0/24"]}}]}]}),
    ("policy peer", o.network_policy(), {"spec.ingress": [{"from": [{}]}]}),
    ("policy with two peers", o.network_policy(), {"spec.ingress": [{"from": [
        {"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}]}]}),
    ("policy port", o.network_policy(), {"spec.ingress": [{"ports": [{"port": 70000}]}]}),
    ("policy port range", o.network_policy(), {"spec.ingress": [{"ports": [{"port": 90, "endPort": 80}]}]}),
    ("policy type", o.network_policy(), {"spec.policyTypes": ["Both"]}),
    ("maximum below minimum", o.autoscaler(), {"spec.minReplicas": 5}),
    ("maximum 0", o.autoscaler(), {"spec.maxReplicas": 0}),
    ("minimum 0", o.autoscaler(), {"spec.minReplicas": 0}),
    ("autoscaler without target", o.autoscaler(), {"spec.scaleTargetRef.name": ""}),
    ("metric type", o.autoscaler(), {"spec.metrics": [{"type": "Cpu"}]}),
    ("metric without source", o.autoscaler(), {"spec.metrics": [{"type": "Resource"}]}),
    ("metric target", o.autoscaler(), {"spec.metrics": [
        {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}}]}),
    ("budget with both", o.budget(), {"spec.maxUnavailable": 1}),
    ("budget percentage", o.budget(), {"spec.minAvailable": "half"}),
    ("negative budget", o.budget(), {"spec.minAvailable": -1}),
    ("budget above 100%", o.budget(), {"spec.minAvailable": "101%"}),
    ("quota quantity", o.quota(pods="many"), {}),
    ("negative quota", o.quota(pods="-1"), {}),
    ("quota resource", o.quota(podds="1"), {}),
    ("fraction of a pod", o.quota(pods="1500m"), {}),
    ("limit range type", o.limit_range(type="Cluster"), {}),
    ("default above maximum", o.limit_range(max={"cpu": "100m"}), {}),
    ("limit range twice", o.limit_range(), {"spec.limits.1": {"type": "Container", "max": {"cpu": "1"}}}),
    ("role without verbs", o.role(), {"rules.0.verbs": []}),
    ("role with URLs", o.role(), {"rules.0.nonResourceURLs": ["/healthz"]}),
    ("role reference kind", o.role_binding(), {"roleRef.kind": "Other"}),
    ("subject kind", o.role_binding(), {"subjects.0.kind": "Person"}),
    ("subject without namespace", o.role_binding(), {"subjects.0": {"kind": "ServiceAccount", "name": "a"}}),
    ("claim without modes", o.claim(), {"spec.accessModes": []}),
    ("claim mode", o.claim(), {"spec.accessModes": ["Write"]}),
    ("claim without storage", o.claim(), {"spec.resources": {}}),
    ("claim of 0 bytes", o.claim(), {"spec.resources.requests.storage": "0"}),
    ("priority too high", o.priority_class(value=2_000_000_000), {}),
    ("priority class prefix", o.priority_class("system-{ns}"), {}),
    ("preemption policy", o.priority_class(preemptionPolicy="Maybe"), {}),
    ("storage class without provisioner", o.storage_class(provisioner=""), {}),
    ("binding mode", o.storage_class(volumeBindingMode="Later"), {}),
    ("reclaim policy", o.storage_class(reclaimPolicy="Keep"), {}),
    ("ingress class controller", o.ingress_class(controller="alb"), {}),
    ("long namespace", o.namespace(_LONG), {}),
    ("namespace with a dot", o.namespace("a.b"), {}),
    ("definition name", o.custom_definition(), {"metadata.name": "other.example.com"}),
    ("definition without storage", o.custom_definition(storage=False), {}),
    ("definition without schema", o.custom_definition(schema={}), {}),
)  # fmt: skip

# Name, stored object, changes that are refused (or accepted) in an update.
_REPLACED: tuple[tuple[str, Json, dict[str, Any]], ...] = (
    ("selector", o.deployment(), {
        "spec.selector.matchLabels.app": "b", "spec.template.metadata.labels.app": "b"}),
    ("replicas", o.deployment(), {"spec.replicas": 3}),
    ("nothing", o.deployment(), {}),
    ("label", o.deployment(), {"metadata.labels": {"a": "b"}}),
    ("stateful set claims", o.stateful_set(), {"spec.serviceName": "other"}),
    ("job template", o.job(), {f"{_FIRST}.image": "other"}),
    ("job parallelism", o.job(), {"spec.parallelism": 2}),
    ("pod image", o.pod(), {"spec.containers.0.image": "registry/app:2"}),
    ("pod environment", o.pod(), {"spec.containers.0.env": [{"name": "A", "value": "1"}]}),
    ("pod label", o.pod(), {"metadata.labels": {"a": "b"}}),
    ("service port", o.service(), {"spec.ports.0.port": 81}),
    ("service address", o.service(clusterIP="None"), {"spec.clusterIP": "10.100.9.9"}),
    ("service to node port", o.service(), {"spec.type": "NodePort"}),
    ("service to headless", o.service(), {"spec.clusterIP": "None"}),
    ("immutable config map", o.config_map(immutable=True), {"data": {"a": "2"}}),
    ("immutable no longer", o.config_map(immutable=True), {"immutable": False}),
    ("secret type", o.secret(), {"type": "other"}),
    ("role reference", o.role_binding(), {"roleRef.name": "other"}),
    ("claim size", o.claim(), {"spec.resources.requests.storage": "2Gi"}),
    ("claim mode", o.claim(), {"spec.accessModes": ["ReadWriteMany"]}),
    ("priority", o.priority_class(), {"value": 5}),
    ("storage class parameters", o.storage_class(), {"parameters": {"type": "gp3"}}),
    ("ingress class controller", o.ingress_class(), {"spec.controller": "other.example.com/a"}),
    ("old resource version", o.config_map(), {"metadata.resourceVersion": "1"}),
    ("other uid", o.config_map(), {"metadata.uid": "11111111-1111-1111-1111-111111111111"}),
    ("scope of a definition", o.custom_definition(), {"spec.scope": "Cluster"}),
)  # fmt: skip

CASES = [
    *(
        Case(f"invalid: {name}", (create(change(document, changes)),))
        for name, document, changes in _CREATED
    ),
    *(
        Case(f"update: {name}", (create(document), replace(change(document, changes))))
        for name, document, changes in _REPLACED
    ),
    Case("update: name of the URL", (
        create(o.config_map()),
        Call(method="PUT", path=path_of(o.config_map()), body=o.config_map("other")),
    )),
    Case("update: missing object", (replace(o.config_map("missing")),)),
    Case("create: twice", (create(o.config_map()), create(o.config_map()))),
    Case("create: fields are dropped with a warning", (
        create(change(o.deployment(), {"spec.replica": 2}), "fieldManager=test"),)),
    Case("create: fields are ignored", (
        create(change(o.deployment(), {"spec.replica": 2}),
               "fieldManager=test&fieldValidation=Ignore"),)),
    Case("create: dry run", (
        create(o.config_map(), "fieldManager=test&dryRun=All"), replace(o.config_map()))),
    Case("create: unknown dry run", (create(o.config_map(), "dryRun=Some"),)),
    Case("create: unknown validation", (create(o.config_map(), "fieldValidation=Some"),)),
]  # fmt: skip

"""`python -m settings.new_stack`: the stack file of a new environment.

Standard input is a JSON object: `stack` is the new name, `template` the stack to copy, `eksctl` the
text of an eksctl ClusterConfig or null, `vpc` the description of an existing VPC or null. Standard
output gets `text` (the stack file) and `notes`, or `error`.
"""

import io
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from ruamel.yaml import YAML

from settings.errors import Problem, SettingsError
from settings.existing_vpc import from_vpc
from settings.load import parse
from settings.types import KUBERNETES_SUPPORT, RETENTION_DAYS

NAMESPACE = "platform:"
_GATEWAYS = {"Disable": "none", "Single": "single", "HighlyAvailable": "per-zone"}
Path_ = tuple[str | int, ...]


class NewStackError(Exception):
    """The file cannot be made; the message says why."""


class Setting(NamedTuple):
    """A setting that a ClusterConfig decides, and the keys of the ClusterConfig that it uses."""

    path: str
    value: Any
    sources: Sequence[Path_]


def new_stack(
    stack: str,
    template: str,
    eksctl: str | None,
    folder: Path,
    vpc: Mapping[str, Any] | None = None,
) -> tuple[str, list[str]]:
    """Return the stack file's text and notes. Raises NewStackError."""
    source = folder / f"Pulumi.{template}.yaml"
    if not source.is_file():
        raise NewStackError(f"there is no stack {template!r} to copy: {source.name} does not exist")
    editor = YAML()
    editor.preserve_quotes = True
    editor.width = 1_000_000
    editor.indent(mapping=2, sequence=4, offset=2)
    document = editor.load(source.read_text(encoding="utf-8"))
    config, notes = document["config"], list[str]()
    for key in [key for key in document if key != "config"]:
        del document[key]  # the secrets provider of the other stack
    for key in [key for key, value in config.items() if _is_secret(value)]:
        del config[key]
        name = key.removeprefix(NAMESPACE)
        notes.append(f"set the secret: sandbox config set --secret {name} --stack {stack}")
    others = _networks(folder)
    settings = list[Setting]()
    if eksctl is not None:
        content = _cluster_config(eksctl)
        try:
            settings = list(_from_eksctl(content))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise NewStackError(
                f"the ClusterConfig does not follow its schema, https://schema.eksctl.io: {error}"
            ) from error
        used = [path for setting in settings for path in setting.sources]
        notes += [
            f"{'.'.join(map(str, path))} of the ClusterConfig has no counterpart"
            for path in _leaves(content)
            if not any(path[: len(prefix)] == prefix for prefix in used)
        ]
    if vpc is not None:
        values, without_counterpart = from_vpc(vpc)
        settings += [Setting(path, value, ()) for path, value in values.items()]
        notes += without_counterpart
    for setting in settings:
        _set(config, setting.path, setting.value)
    decided = {setting.path: setting for setting in settings}
    if "cluster.endpoint.public" in decided:
        _adapt_endpoint(config[f"{NAMESPACE}cluster"]["endpoint"], decided)
    if "network.cidr" not in decided:
        _set(config, "network.cidr", _free_network(others.values()))
    _set(config, "network.neighbours", sorted(others.values(), key=IPv4Network))
    cidr = config[f"{NAMESPACE}network"]["cidr"]
    notes += [
        f"{name} may list it as a neighbour: sandbox config set --path "
        f"'{NAMESPACE}network.neighbours[{len(_neighbours(folder, name))}]' {cidr} --stack {name}"
        for name in others
    ]
    buffer = io.StringIO()
    editor.dump(document, buffer)
    lines = buffer.getvalue().splitlines(keepends=True)
    while lines and lines[0].startswith("#") and "yaml-language-server" not in lines[0]:
        del lines[0]
    text = f"# {stack}, made from {template}. docs/settings.md lists keys and defaults.\n"
    text += "".join(lines)
    _validate(text, stack, folder, decided)
    return text, notes


def _adapt_endpoint(endpoint: Any, decided: Mapping[str, Setting]) -> None:
    """Remove what the template's endpoint has and the decided one, public or private, must not."""
    if endpoint["public"]:
        endpoint.pop("way_in", None)
        return
    endpoint.setdefault("way_in", "vpc")
    if "cluster.endpoint.allowed_cidrs" not in decided:
        endpoint.pop("allowed_cidrs", None)


def _is_secret(value: Any) -> bool:
    return isinstance(value, Mapping) and set(value) == {"secure"}


def _configuration(folder: Path, stack: str) -> Mapping[str, Any]:
    content = yaml.safe_load((folder / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8")) or {}
    return content.get("config") or {}


def _networks(folder: Path) -> dict[str, str]:
    """Return the VPC's network of each stack."""
    networks = {}
    for file in sorted(folder.glob("Pulumi.?*.yaml")):
        stack = file.name.removeprefix("Pulumi.").removesuffix(".yaml")
        network = _configuration(folder, stack).get(f"{NAMESPACE}network")
        if isinstance(network, Mapping) and "cidr" in network:
            networks[stack] = str(network["cidr"])
    return networks


def _neighbours(folder: Path, stack: str) -> Sequence[str]:
    network = _configuration(folder, stack)[f"{NAMESPACE}network"]
    return network.get("neighbours") or ()


def _free_network(used: Any) -> str:
    """Return a /16 of 10.0.0.0/8 that overlaps no network, first of the multiples of ten."""
    taken = [IPv4Network(cidr) for cidr in used]
    for second in (*range(10, 256, 10), *range(1, 256)):
        network = IPv4Network(f"10.{second}.0.0/16")
        if not any(network.overlaps(other) for other in taken):
            return str(network)
    raise NewStackError("10.0.0.0/8 has no free /16; set network.cidr by hand in a copy")


def _set(config: Any, path: str, value: Any) -> None:
    section, *keys = path.split(".")
    holder = config.setdefault(f"{NAMESPACE}{section}", {})
    for key in keys[:-1]:
        holder = holder.setdefault(key, {})
    holder[keys[-1]] = value


def _validate(text: str, stack: str, folder: Path, decided: Mapping[str, Setting]) -> None:
    raw = {
        key.removeprefix(NAMESPACE): value for key, value in yaml.safe_load(text)["config"].items()
    }
    secrets = (raw.get("workload") or {}).get("secrets") or ()
    if secrets:  # their values are set after the file exists
        raw["workload"] = {**raw["workload"], "secrets": []}
    try:
        parse(raw, NAMESPACE[:-1], stack, today=datetime.now(UTC).date(), folder=folder)
    except SettingsError as error:
        lines = [_reported(problem, decided) for problem in error.problems]
        raise NewStackError("its settings would be invalid.\n" + "\n".join(lines)) from error


def _reported(problem: Problem, decided: Mapping[str, Setting]) -> str:
    """Return a problem with its remedy: the key that decides the setting, or the template."""
    if not problem.path:
        return f"  {problem.message}"
    keys = [str(key) for key in problem.path]
    path = next(
        (
            ".".join(keys[:end])
            for end in range(len(keys), 0, -1)
            if ".".join(keys[:end]) in decided
        ),
        "",
    )
    remedy = "copy another stack (--like)"
    if path:
        sources = decided[path].sources
        key = ".".join(map(str, sources[0])) if sources else ""
        remedy = f"change {key} of the ClusterConfig" if key else "choose another VPC"
    return f"  {'.'.join(keys)}: {problem.message}; {remedy}"


# The ClusterConfig of eksctl (https://schema.eksctl.io)


def _cluster_config(text: str) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise NewStackError(f"the ClusterConfig is not YAML: {error}") from error
    if not isinstance(content, Mapping) or content.get("kind") != "ClusterConfig":
        raise NewStackError("the file is not an eksctl ClusterConfig: `kind` must be ClusterConfig")
    return {key: value for key, value in content.items() if key not in ("apiVersion", "kind")}


def _from_eksctl(content: Mapping[str, Any]) -> Iterator[Setting]:
    """Return the settings that a ClusterConfig decides, except values without a counterpart."""

    def one(
        path: str, source: str, *, values: Any = None, convert: Any = None
    ) -> Iterator[Setting]:
        keys = tuple(source.split("."))
        value = _lookup(content, keys)
        if convert is not None and value is not None:
            value = convert(value)
        if value is not None and (values is None or value in values):
            yield Setting(path, value, [keys])

    yield from one("aws.region", "metadata.region")
    yield from one("aws.tags", "metadata.tags", convert=dict)
    yield from one("cluster.version", "metadata.version", values=KUBERNETES_SUPPORT)
    yield from one("network.cidr", "vpc.cidr")
    yield from one("network.nat", "vpc.nat.gateway", convert=_GATEWAYS.get)
    yield from one("network.zones", "availabilityZones", convert=len, values=(2, 3))
    yield from one("cluster.service_cidr", "kubernetesNetworkConfig.serviceIPv4CIDR")
    yield from one("cluster.endpoint.public", "vpc.clusterEndpoints.publicAccess")
    yield from one("cluster.endpoint.allowed_cidrs", "vpc.publicAccessCIDRs")
    yield from one(
        "cluster.compute",
        "autoModeConfig.enabled",
        convert=lambda enabled: "auto" if enabled else "managed",
    )
    yield from one(
        "cluster.log_days", "cloudWatch.clusterLogging.logRetentionInDays", values=RETENTION_DAYS
    )
    for kind in ("managedNodeGroups", "nodeGroups"):
        if groups := content.get(kind):
            yield from _node_group(groups[0], (kind, 0))
            break


def _node_group(first: Mapping[str, Any], root: Path_) -> Iterator[Setting]:
    """Return the settings of the first node group; others have no counterpart."""
    kinds = first.get("instanceTypes") or [first.get("instanceType")]
    if all(kinds) and kinds != ["mixed"]:
        sources: list[Path_] = [(*root, "instanceTypes"), (*root, "instanceType")]
        yield Setting("cluster.nodes.instance_types", list(kinds), sources)
    for key, name in (("minSize", "minimum"), ("maxSize", "maximum"), ("volumeSize", "disk_gib")):
        if key in first:
            yield Setting(f"cluster.nodes.{name}", first[key], [(*root, key)])
    if "spot" in first:
        capacity = "spot" if first["spot"] else "on-demand"
        yield Setting("cluster.nodes.capacity", capacity, [(*root, "spot")])


def _lookup(content: Any, keys: Path_) -> Any:
    for key in keys:
        content = content.get(key) if isinstance(content, Mapping) else None
    return content


def _leaves(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, (*path, str(key)))
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        for position, item in enumerate(value):
            yield from _leaves(item, (*path, position))
    else:
        yield path


def main() -> None:
    """Answer the request on standard input."""
    request = json.load(sys.stdin)
    try:
        text, notes = new_stack(
            request["stack"],
            request["template"],
            request["eksctl"],
            Path.cwd(),
            request.get("vpc"),
        )
    except NewStackError as error:
        json.dump({"error": str(error)}, sys.stdout)
    else:
        json.dump({"text": text, "notes": notes}, sys.stdout)


if __name__ == "__main__":
    main()

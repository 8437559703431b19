"""The docker provider of the sandbox: `docker:index/image:Image`, really built and pushed where a builder is.

Inputs, outputs and their meaning are those of pulumi-docker 5.x (its provider/provider.go and image.go); every other
resource and function of that package is refused by name. What differs, since the sandbox has more than one builder:
the image is pushed only into the sandbox's registry, and where nothing can build, `repoDigest` has the digest of the
build's context and the output `notBuilt` says why.
"""

# ruff: noqa: ARG002 -- the base class names the arguments
from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from sandbox.images import Builder, BuildError, Destination, Order, placeholder
from sandbox.images import context as contexts
from sandbox.providers.property_values import is_known
from sandbox.providers.protocol import (
    UNKNOWN,
    Change,
    Checked,
    Connection,
    Created,
    Difference,
    Failure,
    Found,
    Invoked,
    Properties,
    Provider,
    Resource,
    Updated,
)

IMAGE = "docker:index/image:Image"
VERSION = "5.2.0"
_INPUTS = {"build", "buildOnPreview", "imageName", "registry", "skipPush"}
_BUILD = {
    "addHosts",
    "args",
    "builderVersion",
    "cacheFrom",
    "context",
    "dockerfile",
    "network",
    "platform",
    "target",
    "contextDigest",
}
_REGISTRY = {"server", "username", "password"}
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


def provider() -> DockerProvider:
    """Return the provider, building under the sandbox's home (SANDBOX_HOME)."""
    return DockerProvider(Path(os.environ.get("SANDBOX_HOME", ".sandbox")).absolute())


class DockerProvider(Provider):
    """pulumi-docker's stand-in."""

    name = "docker"
    version = VERSION

    def __init__(self, home: Path) -> None:
        self._home = home
        self._builder = Builder(home / "images")

    def connect(self, config: Properties) -> Connection:
        """Accept the configuration; the builder is found on the machine, so a `host` elsewhere is refused."""
        if unsupported := sorted(set(config) - {"version", "pluginDownloadURL", "__internal"}):
            raise Failure(
                f"The sandbox's docker provider finds its builder itself and emulates no provider setting "
                f"'{unsupported[0]}'; remove it, or use DOCKER_HOST."
            )
        return Images(self._home, self._builder)


class Images(Connection):
    """The Image resource."""

    def __init__(self, home: Path, builder: Builder) -> None:
        self._home = home
        self._builder = builder

    def check(self, resource: Resource, old: Properties, new: Properties, seed: bytes) -> Checked:
        """Fill in the context's digest and defaults, as the real provider does, so that only content makes a build."""
        _known_type(resource)
        failures = _misspelt(new)
        inputs: Properties = {"buildOnPreview": False, **new}
        build = dict(new.get("build") or {}) if is_known(new.get("build")) or isinstance(new.get("build"), dict) else {}
        if not isinstance(new.get("build", {}), dict):
            return Checked(inputs, failures)
        build.setdefault("context", ".")
        if is_known(build["context"]):
            build.setdefault("dockerfile", f"{build['context'].rstrip('/')}/Dockerfile")
        if "platform" not in build:
            build["platform"] = f"linux/{_MACHINES.get(platform.machine(), platform.machine())}"
            resource.log("info", f"Building your image for {build['platform']}. To be sure, set `platform`.")
        if is_known(build["context"]) and is_known(build.get("dockerfile", UNKNOWN)):
            context, dockerfile = self._path(build["context"]), self._path(build["dockerfile"])
            if not context.is_dir():
                failures.append(("build.context", f"the folder '{build['context']}' doesn't exist"))
            elif not dockerfile.is_file():
                failures.append(("build.dockerfile", _no_dockerfile(build, context)))
            else:
                build["contextDigest"] = contexts.digest(context, dockerfile)
        inputs["build"] = build
        name = inputs.get("imageName")
        if name is None:
            failures.append(("imageName", "is required: repository and tag, as in <repository URL>:<tag>"))
        elif isinstance(name, str) and not inputs.get("skipPush") and "/" not in name:
            failures.append(("imageName", f"'{name}' has no registry; give the full name, <repository URL>:<tag>"))
        return Checked(inputs, failures)

    def diff(
        self, resource: Resource, id: str, old_inputs: Properties, old_state: Properties, new_inputs: Properties
    ) -> Difference:
        """Compare inputs; credentials don't count, since they change every time and build nothing."""
        _known_type(resource)
        changes: dict[str, Change] = {}
        old, new = _compared(old_inputs), _compared(new_inputs)
        for key in sorted(old.keys() | new.keys()):
            if key not in old:
                changes[key] = Change.ADD
            elif key not in new:
                changes[key] = Change.DELETE
            elif old[key] != new[key]:
                changes[key] = Change.UPDATE
        # A builder that has come since can make good what was only named before.
        if not changes and old_state.get("notBuilt") and self._builder.obstacle(self._order(new_inputs)) is None:
            changes["build"] = Change.UPDATE
        return Difference(changes)

    def create(self, resource: Resource, inputs: Properties, preview: bool) -> Created:
        """Build and push."""
        _known_type(resource)
        state = self._made(resource, inputs, preview)
        return Created("" if preview else str(inputs["imageName"]), state)

    def update(
        self,
        resource: Resource,
        id: str,
        old_inputs: Properties,
        old_state: Properties,
        new_inputs: Properties,
        preview: bool,
    ) -> Updated:
        """Build and push again; the older image stays in the registry."""
        return Updated(self._made(resource, new_inputs, preview))

    def read(self, resource: Resource, id: str, inputs: Properties, state: Properties) -> Found | None:
        """Return what is known: the real provider looks nothing up, so it can't import either."""
        _known_type(resource)
        if not state:
            raise Failure(f"{IMAGE} can't be imported: an image doesn't tell what it was built from.")
        return Found(id, state, inputs)

    def delete(self, resource: Resource, id: str, inputs: Properties, state: Properties) -> None:
        """Leave the pushed image to its repository, as the real provider does."""
        _known_type(resource)

    def invoke(self, token: str, args: Properties, preview: bool) -> Invoked:
        """Refuse by name."""
        raise Failure(f"The function {token} isn't emulated by the sandbox; of the docker package, only {IMAGE} is.")

    def _made(self, resource: Resource, inputs: Properties, preview: bool) -> Properties:
        build = inputs["build"] if isinstance(inputs.get("build"), dict) else {}
        registry = inputs["registry"] if isinstance(inputs.get("registry"), dict) else {}
        state: Properties = {
            "baseImageName": inputs["imageName"],
            "context": build.get("context", UNKNOWN),
            "dockerfile": build.get("dockerfile", UNKNOWN),
            "imageName": inputs["imageName"],
            "platform": build.get("platform", UNKNOWN),
            "registryServer": registry.get("server", ""),
        }
        wanted = inputs.get("buildOnPreview", False) is True
        if preview and not (wanted and is_known(build) and is_known(inputs["imageName"])):
            return {**state, "repoDigest": UNKNOWN}
        repository, tag = _split(str(inputs["imageName"]))
        push = not (preview or inputs.get("skipPush"))
        try:
            destination = (
                Destination(repository, str(registry.get("username", "")), str(registry.get("password", "")))
                if push
                else None
            )
            order = self._order(inputs)
            outcome = self._builder.build(order, destination, tag, lambda line: resource.log("debug", line))
        except BuildError as error:
            raise Failure(f"The image {inputs['imageName']} could not be made: {error}.") from None
        for note in outcome.notes:
            resource.log("info", note)
        state["repoDigest"] = f"{repository}@{outcome.digest}" if push else outcome.digest
        if outcome.not_built is not None:
            state["notBuilt"] = outcome.not_built
            placeholder.remember(self._home, outcome.digest, outcome.not_built)
            resource.log("warning", f"not built: {outcome.not_built}. {state['repoDigest']} names the build's context.")
        return state

    def _order(self, inputs: Properties) -> Order:
        build = inputs["build"]
        args = {name: str(value) for name, value in (build.get("args") or {}).items()}
        return Order(
            context=self._path(build["context"]),
            dockerfile=self._path(build["dockerfile"]),
            platform=build["platform"],
            args=args,
            target=build.get("target"),
            network=build.get("network"),
            hosts=tuple(build.get("addHosts") or ()),
            cache_from=tuple((build.get("cacheFrom") or {}).get("images") or ()),
            epoch=int(args.get("SOURCE_DATE_EPOCH", "0")),
        )

    def _path(self, text: str) -> Path:
        """Return an absolute path; a relative one is the program's, whose folder the providers run in."""
        return Path(text).absolute()


def _known_type(resource: Resource) -> None:
    if resource.type != IMAGE:
        raise Failure(f"{resource.type} isn't emulated by the sandbox; of the docker package, only {IMAGE} is.")


def _misspelt(inputs: Properties) -> list[tuple[str, str]]:
    known = {"": _INPUTS, "build": _BUILD, "registry": _REGISTRY}
    failures = []
    for section, names in known.items():
        given = inputs if not section else inputs.get(section)
        for name in sorted(set(given) - names) if isinstance(given, dict) else ():
            path = f"{section}.{name}".lstrip(".")
            failures.append((path, f"{IMAGE} has no property '{path}'; it has {', '.join(sorted(names))}"))
    version = (inputs.get("build") or {}).get("builderVersion") if isinstance(inputs.get("build"), dict) else None
    if version not in (None, UNKNOWN, "BuilderBuildKit"):
        failures.append(
            ("build.builderVersion", f"the sandbox builds with BuildKit or buildah only, not with '{version}'")
        )
    return failures


def _no_dockerfile(build: dict[str, Any], context: Path) -> str:
    tip = f"; try '{build['context'].rstrip('/')}/Dockerfile'" if (context / "Dockerfile").is_file() else ""
    return f"there is no Dockerfile at '{build['dockerfile']}' (a path from the project's folder, not from the context){tip}"


def _compared(inputs: Properties) -> Properties:
    """Return the inputs that make a difference: of the registry, only the server."""
    compared = dict(inputs)
    if isinstance(registry := compared.get("registry"), dict):
        compared["registry"] = {"server": registry.get("server", "")}
    return compared


def _split(image: str) -> tuple[str, str]:
    """Return repository and tag; without one it is "latest"."""
    repository, colon, tag = image.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (image, "latest")

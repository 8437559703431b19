"""The docker provider of the sandbox: builds and pushes `docker:index/image:Image`.

Inputs, outputs and their meaning are those of pulumi-docker 5 (provider/provider.go, image.go);
each other resource and function of that package is refused by name. It differs in two points: it
pushes only to the sandbox's registry, and without a builder `repoDigest` has the digest of the
build context and the output `notBuilt` has the reason.
"""

# ruff: noqa: ARG002 -- the base class names the arguments
from __future__ import annotations

import os
from pathlib import Path

from sandbox.images import (
    Builder,
    BuildError,
    BuildRequest,
    Destination,
    image_cache,
    image_sources,
    placeholder,
)
from sandbox.images.build_context import context_digest
from sandbox.images.builder import MACHINE_ARCHITECTURE
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
    plain_difference,
)

IMAGE = "docker:index/image:Image"
VERSION = "5.2.0"
_SDK_SETTINGS = {"version", "pluginDownloadURL", "__internal"}
# Property names by section; "" is the resource itself.
_PROPERTIES = {
    "": {"build", "buildOnPreview", "imageName", "registry", "skipPush"},
    "build": {
        "addHosts",
        "args",
        "builderVersion",
        "cacheFrom",
        "context",
        "contextDigest",
        "dockerfile",
        "network",
        "platform",
        "target",
    },
    "registry": {"server", "username", "password"},
}


def provider() -> DockerProvider:
    """Return the provider of the sandbox's home (SANDBOX_HOME), with the user's image cache."""
    home = Path(os.environ.get("SANDBOX_HOME", ".sandbox")).absolute()
    return DockerProvider(home, image_cache())


class DockerProvider(Provider):
    """Emulates pulumi-docker's provider."""

    name = "docker"
    version = VERSION

    def __init__(self, home: Path, cache: Path) -> None:
        self._home = home
        self._builder = Builder(cache)

    def connect(self, config: Properties) -> Connection:
        """Accept an empty configuration; the sandbox detects the builder of this machine itself."""
        if unsupported := sorted(set(config) - _SDK_SETTINGS):
            raise Failure(
                f"The sandbox's docker provider does not emulate the provider setting "
                f"'{unsupported[0]}'; remove it, or set DOCKER_HOST."
            )
        return ImageConnection(self._home, self._builder)


class ImageConnection(Connection):
    """Manages the Image resource."""

    def __init__(self, home: Path, builder: Builder) -> None:
        self._home = home
        self._builder = builder

    def check(self, resource: Resource, old: Properties, new: Properties, seed: bytes) -> Checked:
        """Add defaults and the context's digest, so that only a changed content builds again."""
        _require_image(resource)
        failures = _unknown_properties(new)
        inputs: Properties = {"buildOnPreview": False, **new}
        if not isinstance(new.get("build", {}), dict):
            return Checked(inputs, failures)
        build = dict(new.get("build") or {})
        build.setdefault("context", ".")
        if is_known(build["context"]):
            build.setdefault("dockerfile", f"{build['context'].rstrip('/')}/Dockerfile")
        if "platform" not in build:
            build["platform"] = f"linux/{MACHINE_ARCHITECTURE}"
            text = f"Building the image for {build['platform']}; set `platform` to choose another."
            resource.log("info", text)
        if is_known(build["context"]) and is_known(build.get("dockerfile", UNKNOWN)):
            if (failure := self._path_failure(build)) is not None:
                failures.append(failure)
            else:
                context, dockerfile = self._path(build["context"]), self._path(build["dockerfile"])
                build["contextDigest"] = context_digest(context, dockerfile)
        inputs["build"] = build
        name = inputs.get("imageName")
        if name is None:
            text = "is required: repository and tag, as in <repository URL>:<tag>"
            failures.append(("imageName", text))
        elif isinstance(name, str) and not inputs.get("skipPush") and "/" not in name:
            text = f"'{name}' has no registry; give the full name, <repository URL>:<tag>"
            failures.append(("imageName", text))
        return Checked(inputs, failures)

    def diff(
        self,
        resource: Resource,
        id: str,
        old_inputs: Properties,
        old_state: Properties,
        new_inputs: Properties,
    ) -> Difference:
        """Compare inputs without credentials, which change every time and build nothing."""
        _require_image(resource)
        difference = plain_difference(_compared(old_inputs), _compared(new_inputs))
        unbuilt = not difference.changes and old_state.get("notBuilt")
        if unbuilt and self._builder.problem(self._request(new_inputs)) is None:
            return Difference({"build": Change.UPDATE})
        return difference

    def create(self, resource: Resource, inputs: Properties, preview: bool) -> Created:
        """Build and push."""
        _require_image(resource)
        state = self._build(resource, inputs, preview)
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
        return Updated(self._build(resource, new_inputs, preview))

    def read(
        self, resource: Resource, id: str, inputs: Properties, state: Properties
    ) -> Found | None:
        """Return the recorded state; like the real provider, refuse an import."""
        _require_image(resource)
        if not state:
            raise Failure(f"{IMAGE} cannot be imported: an image does not contain its inputs.")
        return Found(id, state, inputs)

    def delete(self, resource: Resource, id: str, inputs: Properties, state: Properties) -> None:
        """Keep the pushed image in its repository, as the real provider does."""
        _require_image(resource)

    def invoke(self, token: str, args: Properties, preview: bool) -> Invoked:
        """Refuse by name."""
        raise Failure(_not_emulated(f"The function {token}"))

    def _build(self, resource: Resource, inputs: Properties, preview: bool) -> Properties:
        name = inputs["imageName"]
        build = inputs["build"] if isinstance(inputs.get("build"), dict) else {}
        registry = inputs["registry"] if isinstance(inputs.get("registry"), dict) else {}
        state: Properties = {
            "baseImageName": name,
            "context": build.get("context", UNKNOWN),
            "dockerfile": build.get("dockerfile", UNKNOWN),
            "imageName": name,
            "platform": build.get("platform", UNKNOWN),
            "registryServer": registry.get("server", ""),
        }
        on_preview = inputs.get("buildOnPreview", False) is True
        if preview and not (on_preview and is_known(build) and is_known(name)):
            return {**state, "repoDigest": UNKNOWN}
        repository, tag = _split_name(str(name))
        destination = None
        request = self._request(inputs)
        try:
            if not (preview or inputs.get("skipPush")):
                username, password = registry.get("username", ""), registry.get("password", "")
                destination = Destination(repository, str(username), str(password))
            result = self._builder.build(
                request, destination, tag, lambda line: resource.log("status", line)
            )
        except BuildError as error:
            raise Failure(f"The image {name} was not built: {error}.") from None
        for note in result.notes:
            resource.log("info", note)
        state["repoDigest"] = f"{repository}@{result.digest}" if destination else result.digest
        if not preview:
            image_sources.record(self._home, result.digest, request)
        if result.not_built is not None:
            state["notBuilt"] = result.not_built
            placeholder.record(self._home, result.digest, result.not_built)
            text = f"{state['repoDigest']} is the digest of the build context."
            resource.log("warning", f"not built: {result.not_built}. {text}")
        return state

    def _request(self, inputs: Properties) -> BuildRequest:
        build = inputs["build"]
        args = {name: str(value) for name, value in (build.get("args") or {}).items()}
        return BuildRequest(
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

    def _path_failure(self, build: Properties) -> tuple[str, str] | None:
        directory = self._directory
        context, dockerfile = self._path(build["context"]), self._path(build["dockerfile"])
        if not context.is_dir():
            text = f"the directory '{build['context']}' does not exist; searched in {directory}"
            return "build.context", text
        if not dockerfile.is_file():
            text = (
                f"there is no Dockerfile '{build['dockerfile']}'; searched in {directory}, because "
                "the path is relative to the program's directory, not to the context"
            )
            if (context / "Dockerfile").is_file():
                text += f"; try '{build['context'].rstrip('/')}/Dockerfile'"
            return "build.dockerfile", text
        return None

    @property
    def _directory(self) -> Path:
        # The Pulumi CLI does not report the program's directory to a provider that it attaches to.
        return Path(self.program_directory or Path.cwd())

    def _path(self, text: str) -> Path:
        return self._directory / text


def _require_image(resource: Resource) -> None:
    if resource.type != IMAGE:
        raise Failure(_not_emulated(resource.type))


def _not_emulated(subject: str) -> str:
    return f"{subject} is not emulated by the sandbox; of the docker package, only {IMAGE} is."


def _unknown_properties(inputs: Properties) -> list[tuple[str, str]]:
    """Return a failure per misspelled property or unsupported builder version."""
    failures = []
    for section, names in _PROPERTIES.items():
        properties = inputs.get(section) if section else inputs
        for name in sorted(set(properties) - names) if isinstance(properties, dict) else ():
            path = f"{section}.{name}".lstrip(".")
            text = f"{IMAGE} has no property '{path}'; it has {', '.join(sorted(names))}"
            failures.append((path, text))
    build = inputs.get("build")
    version = build.get("builderVersion") if isinstance(build, dict) else None
    if version not in (None, UNKNOWN, "BuilderBuildKit"):
        text = f"the sandbox builds with BuildKit or buildah only, not with '{version}'"
        failures.append(("build.builderVersion", text))
    return failures


def _compared(inputs: Properties) -> Properties:
    """Reduce the registry to its server."""
    compared = dict(inputs)
    if isinstance(registry := compared.get("registry"), dict):
        compared["registry"] = {"server": registry.get("server", "")}
    return compared


def _split_name(image: str) -> tuple[str, str]:
    """Return repository and tag, by default "latest"."""
    repository, colon, tag = image.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (image, "latest")

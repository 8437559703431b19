"""Docker's commands with the sandbox's builder and registry."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from sandbox.builds import docker_options
from sandbox.builds.docker_images import Credentials, LocalImages, Reference, Registry
from sandbox.builds.docker_options import BuildOptions, Parser
from sandbox.images import image_sources
from sandbox.images.archive import OciImage
from sandbox.images.build_request import BuildError, BuildResult
from sandbox.images.builder import Builder
from sandbox.images.push import Destination

_REMEDY = "start one (`dockerd &` in a privileged build), or install it: make tools TOOLS=docker"


class _CapturedImage(Destination):
    """Keeps the built image instead of pushing it."""

    def __init__(self) -> None:
        self.image: OciImage | None = None

    def push(self, image: OciImage, tag: str | None) -> str:  # noqa: ARG002 - no registry
        self.image = image
        return image.digest

    def attach(self, subject: OciImage, media_type: str, content: bytes) -> str:  # noqa: ARG002
        return ""


class DockerEmulation:
    """Commands of one build, whose HOME has its credentials and images.

    `program` is docker's own command if its engine answers; it builds what is not pushed.
    """

    def __init__(self, program: str | None) -> None:
        self._program = program
        self._sandbox = Path(os.environ["SANDBOX_HOME"])
        self._cache = Path(os.environ["SANDBOX_IMAGE_CACHE"])
        self._registry = os.environ.get("SANDBOX_REGISTRY", "")
        home = Path(os.environ.get("HOME") or Path.cwd())
        self._credentials = Credentials(home)
        self._images = LocalImages(home / ".docker" / "sandbox", self._cache / "layers")
        self._builders = home / ".docker" / "builders.json"

    def run(self, verb: str, arguments: Sequence[str]) -> int:
        """Run a command and return its exit code. Raises BuildError."""
        commands: dict[str, Callable[[Sequence[str]], int]] = {
            "build": self._build,
            "buildx": self._buildx,
            "images": self._list,
            "login": self._login,
            "logout": self._logout,
            "pull": self._pull,
            "push": self._push,
            "rmi": self._remove,
            "tag": self._tag,
        }
        if verb == "image" and arguments:
            verb, *arguments = arguments
            verb = {"ls": "images", "rm": "rmi"}.get(verb, verb)
        if verb not in commands:
            raise BuildError(f"docker {verb} needs a Docker engine; {_REMEDY}")
        return commands[verb](arguments)

    def _login(self, arguments: Sequence[str]) -> int:
        parser = Parser("login")
        parser.add_argument("-u", "--username", required=True)
        parser.add_argument("-p", "--password")
        parser.add_argument("--password-stdin", action="store_true")
        parser.add_argument("server")
        options = parser.parse_args(arguments)
        password = sys.stdin.read().strip() if options.password_stdin else options.password
        if not password:
            raise BuildError("docker login: the password is empty")
        host = options.server.removeprefix("https://").removeprefix("http://").rstrip("/")
        if host != self._registry and self._registry:
            raise BuildError(
                f"docker login: {host} is not the sandbox's registry {self._registry}, and builds "
                "push nowhere else"
            )
        Registry(host, (options.username, password)).check()
        self._credentials.store(host, options.username, password)
        sys.stdout.write("Login Succeeded\n")
        return 0

    def _logout(self, arguments: Sequence[str]) -> int:
        parser = Parser("logout")
        parser.add_argument("server")
        server = parser.parse_args(arguments).server
        self._credentials.remove(server)
        sys.stdout.write(f"Removing login credentials for {server}\n")
        return 0

    # buildx

    def _buildx(self, arguments: Sequence[str]) -> int:
        verb, *rest = arguments or [""]
        match verb:
            case "build" | "b":
                return self._build(rest)
            case "create":
                return self._create_builder(rest)
            case "use" | "rm" | "inspect" | "ls":
                return self._manage_builders(verb, rest)
            case "version":
                sys.stdout.write("github.com/docker/buildx (the sandbox's builder)\n")
                return 0
            case "imagetools":
                return self._imagetools(rest)
        raise BuildError(f"docker buildx {verb} is not emulated by the sandbox")

    def _create_builder(self, arguments: Sequence[str]) -> int:
        parser = Parser("buildx create")
        parser.add_argument("--use", action="store_true")
        parser.add_argument("--bootstrap", action="store_true")
        parser.add_argument("--driver", choices=["docker-container", "docker"])
        parser.add_argument("--driver-opt", action="append")
        parser.add_argument("--platform")
        parser.add_argument("--name")
        options = parser.parse_args(arguments)
        builders = self._builder_names()
        name = options.name or f"sandbox{len(builders)}"
        self._write_builders([name, *(other for other in builders if other != name)])
        sys.stdout.write(f"{name}\n")
        sys.stderr.write("The sandbox's builder is used; no BuildKit image is pulled.\n")
        return 0

    def _manage_builders(self, verb: str, arguments: Sequence[str]) -> int:
        parser = Parser(f"buildx {verb}")
        parser.add_argument("name", nargs="?")
        parser.add_argument("--bootstrap", action="store_true")
        options = parser.parse_args(arguments)
        builders = self._builder_names()
        if verb == "ls" or (verb == "inspect" and options.name is None):
            sys.stdout.write("".join(f"{name}\n" for name in [*builders, "default"]))
            return 0
        if options.name != "default" and options.name not in builders:
            raise BuildError(f'no builder "{options.name}" found')
        if verb == "rm":
            self._write_builders([name for name in builders if name != options.name])
        return 0

    def _builder_names(self) -> list[str]:
        try:
            names: list[str] = json.loads(self._builders.read_text())
        except FileNotFoundError:
            return []
        return names

    def _write_builders(self, names: Sequence[str]) -> None:
        self._builders.parent.mkdir(parents=True, exist_ok=True)
        self._builders.write_text(json.dumps(names))

    def _imagetools(self, arguments: Sequence[str]) -> int:
        verb, *rest = arguments or [""]
        parser = Parser(f"buildx imagetools {verb}")
        match verb:
            case "create":
                parser.add_argument("-t", "--tag", action="append", required=True)
                parser.add_argument("--prefer-index", default="true")
                parser.add_argument("--progress")
                parser.add_argument("source", nargs="+")
                options = parser.parse_args(rest)
                if len(options.source) > 1 or options.prefer_index != "false":
                    raise BuildError(
                        "docker buildx imagetools create: the sandbox copies one source with "
                        "--prefer-index=false; it writes no index"
                    )
                source = self._reference(options.source[0])
                for tag in options.tag:
                    target = self._reference(tag)
                    digest = self._api(source.host).copy(source, target)
                    sys.stderr.write(f"pushing {digest} to {target}\n")
                return 0
            case "inspect":
                parser.add_argument("--raw", action="store_true")
                parser.add_argument("source")
                options = parser.parse_args(rest)
                reference = self._reference(options.source)
                content, media_type, digest = self._api(reference.host).manifest(reference)
                text = f"Name:      {reference}\nMediaType: {media_type}\nDigest:    {digest}\n"
                sys.stdout.write(content.decode() if options.raw else text)
                return 0
        raise BuildError(f"docker buildx imagetools {verb} is not emulated by the sandbox")

    # Images

    def _build(self, arguments: Sequence[str]) -> int:
        options = docker_options.parse(arguments, "build")
        to_engine = not options.push and options.sbom_folder is None
        if to_engine and self._program is not None:
            # The image stays in the engine's store, for `docker run`.
            return subprocess.run([self._program, "build", *arguments], check=False).returncode
        captured, builder = _CapturedImage(), Builder(self._cache)
        result = builder.build(
            options.request,
            captured,
            None,
            _discard if options.quiet else _print,
        )
        if result.not_built is not None or captured.image is None:
            raise BuildError(f"the image cannot be built here: {result.not_built}")
        for note in result.notes:
            sys.stderr.write(f"note: {note}\n")
        if options.sbom_folder is not None:
            options.sbom_folder.mkdir(parents=True, exist_ok=True)
            sbom = builder.sbom(captured.image, options.request.epoch)
            (options.sbom_folder / "sbom.spdx.json").write_bytes(sbom)
            sys.stderr.write("note: the sandbox exports the SBOM only, not the image's files\n")
            return 0
        self._store(options, captured.image, result)
        return 0

    def _store(self, options: BuildOptions, image: OciImage, result: BuildResult) -> None:
        image_sources.record(self._sandbox, result.digest, options.request)
        names = [self._reference(tag) for tag in options.tags]
        for name in names:
            if options.push:
                self._destination(name).push(image, name.reference)
                sys.stderr.write(f"pushed {name}@{result.digest}\n")
            else:
                self._images.add(name, image)
        if options.metadata_file is not None:
            metadata = {
                "containerimage.digest": result.digest,
                "image.name": ",".join(map(str, names)),
            }
            options.metadata_file.write_text(json.dumps(metadata, indent=2))
        if options.id_file is not None:
            options.id_file.write_text(result.digest)
        if options.quiet:
            sys.stdout.write(f"{result.digest}\n")

    def _tag(self, arguments: Sequence[str]) -> int:
        parser = Parser("tag")
        parser.add_argument("source")
        parser.add_argument("target")
        options = parser.parse_args(arguments)
        self._images.tag(self._reference(options.source), self._reference(options.target))
        return 0

    def _push(self, arguments: Sequence[str]) -> int:
        parser = Parser("push")
        parser.add_argument("-a", "--all-tags", action="store_true")
        parser.add_argument("-q", "--quiet", action="store_true")
        parser.add_argument("name")
        options = parser.parse_args(arguments)
        reference = self._reference(options.name)
        names = [reference]
        if options.all_tags:
            stored = [Reference.parse(name) for name in self._images.names()]
            names = [name for name in stored if name.repository == reference.repository]
        for name in names:
            self._images.find(name)
            registry = self._api(name.host)
            digest = self._images.push(name, self._destination(name), registry)
            sys.stdout.write(f"{name.reference}: digest: {digest}\n")
        return 0

    def _pull(self, arguments: Sequence[str]) -> int:
        parser = Parser("pull")
        parser.add_argument("-q", "--quiet", action="store_true")
        parser.add_argument("name")
        reference = self._reference(parser.parse_args(arguments).name)
        if reference.host != self._registry:
            raise BuildError(f"docker pull {reference} needs a Docker engine; {_REMEDY}")
        digest = self._api(reference.host).manifest(reference)[2]
        self._images.add_pulled(reference, digest)
        sys.stdout.write(f"Digest: {digest}\n")
        return 0

    def _list(self, arguments: Sequence[str]) -> int:
        parser = Parser("images")
        parser.add_argument("-q", "--quiet", action="store_true")
        options = parser.parse_args(arguments)
        if not options.quiet:
            sys.stdout.write(f"{'REPOSITORY':<50} {'TAG':<20} IMAGE ID\n")
        for name, entry in self._images.names().items():
            reference, id = Reference.parse(name), entry["digest"][7:19]
            row = f"{reference.repository:<50} {reference.reference:<20} {id}\n"
            sys.stdout.write(f"{id}\n" if options.quiet else row)
        return 0

    def _remove(self, arguments: Sequence[str]) -> int:
        parser = Parser("rmi")
        parser.add_argument("-f", "--force", action="store_true")
        parser.add_argument("names", nargs="+")
        for name in parser.parse_args(arguments).names:
            self._images.remove(self._reference(name))
            sys.stdout.write(f"Untagged: {name}\n")
        return 0

    def _reference(self, text: str) -> Reference:
        return Reference.parse(text)

    def _api(self, host: str) -> Registry:
        return Registry(host, self._credentials.of(host))

    def _destination(self, name: Reference) -> Destination:
        return Destination(name.repository, *self._credentials.of(name.host))


def _print(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _discard(_line: str) -> None:
    return

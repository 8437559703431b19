"""Options of `docker build` and `docker buildx build` that the sandbox's builder supports."""

from __future__ import annotations

import argparse
import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from sandbox.images.build_request import BuildError, BuildRequest
from sandbox.images.builder import MACHINE_ARCHITECTURE

# Accepted without an effect: the builder has a cache and a progress output of its own.
_WITHOUT_EFFECT = ("--cache-from", "--cache-to", "--progress", "--builder")
# Part of BuildKit's image index, which the builder never writes; --sbom has an effect on files.
_ATTESTATIONS = ("--provenance", "--sbom")


class Parser(argparse.ArgumentParser):
    """Raises BuildError for what is not emulated."""

    def __init__(self, command: str) -> None:
        super().__init__(prog=f"docker {command}", allow_abbrev=False, add_help=False)

    def error(self, message: str) -> NoReturn:
        """Refuse by name."""
        raise BuildError(f"{self.prog}: {message}; the sandbox emulates no other options")


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """A build: its request, names, whether it pushes, and the file for the result's digest.

    `sbom_folder` gets the SBOM that BuildKit's local exporter writes.
    """

    request: BuildRequest
    tags: Sequence[str]
    push: bool
    metadata_file: Path | None
    id_file: Path | None
    quiet: bool
    sbom_folder: Path | None


def parse(arguments: Sequence[str], command: str) -> BuildOptions:
    """Parse the options of a build. Raises BuildError."""
    parser = Parser(command)
    parser.add_argument("context")
    parser.add_argument("-f", "--file")
    parser.add_argument("-t", "--tag", action="append", default=[])
    parser.add_argument("--build-arg", action="append", default=[])
    parser.add_argument("--platform", default=f"linux/{MACHINE_ARCHITECTURE}")
    parser.add_argument("--target")
    parser.add_argument("--network")
    parser.add_argument("--add-host", action="append", default=[])
    parser.add_argument("-o", "--output", action="append", default=[])
    parser.add_argument("--push", action="store_true")
    parser.add_argument("--load", action="store_true")
    parser.add_argument("--pull", action="store_true")
    parser.add_argument("-q", "--quiet", action="store_true")
    parser.add_argument("--metadata-file", type=Path)
    parser.add_argument("--iidfile", type=Path)
    for option in _WITHOUT_EFFECT:
        parser.add_argument(option, action="append")
    for option in _ATTESTATIONS:
        parser.add_argument(option)
    options = parser.parse_args(arguments)
    sbom_folder = _sbom_folder(options)
    if sbom_folder is None:
        for option in ("provenance", "sbom"):
            if getattr(options, option) not in (None, "false"):
                raise BuildError(f"--{option} is not emulated by the sandbox; set --{option}=false")
        push = options.push or any(_pushes(output) for output in options.output)
    else:
        push = False
    if push and not options.tag:
        raise BuildError("a pushed image needs a --tag")
    if "," in options.platform:
        raise BuildError(f"--platform {options.platform}: the sandbox builds for one platform")
    context = Path(options.context).absolute()
    if not context.is_dir():
        raise BuildError(f"path {options.context} not found: the context must be a directory")
    dockerfile = Path(options.file).absolute() if options.file else context / "Dockerfile"
    if not dockerfile.is_file():
        raise BuildError(f"failed to read dockerfile: open {dockerfile}: no such file or directory")
    args = _build_args(options.build_arg)
    request = BuildRequest(
        context=context,
        dockerfile=dockerfile,
        platform=options.platform,
        args=args,
        target=options.target,
        network=options.network,
        hosts=tuple(options.add_host),
        epoch=int(args.get("SOURCE_DATE_EPOCH", "0")),
    )
    return BuildOptions(
        request=request,
        tags=options.tag,
        push=push,
        metadata_file=options.metadata_file,
        id_file=options.iidfile,
        quiet=options.quiet,
        sbom_folder=sbom_folder,
    )


def _sbom_folder(options: argparse.Namespace) -> Path | None:
    """Return the folder of `--sbom=… --output type=local,dest=FOLDER`, or None.

    BuildKit also writes the image's files there; the sandbox writes sbom.spdx.json only.
    https://docs.docker.com/build/metadata/attestations/attestation-storage/
    """
    if options.sbom in (None, "false") or len(options.output) != 1:
        return None
    fields = next(csv.reader(io.StringIO(options.output[0])))
    values = dict(field.partition("=")[::2] for field in fields)
    if set(values) != {"type", "dest"} or values["type"] != "local" or options.push or options.load:
        return None
    return Path(values["dest"]).absolute()


def _build_args(arguments: Sequence[str]) -> dict[str, str]:
    pairs = (argument.partition("=") for argument in arguments)
    return {
        name: value if equals else os.environ.get(name, "")  # as docker: the variable of that name
        for name, equals, value in pairs
        if equals or name in os.environ
    }


def _pushes(output: str) -> bool:
    """Return whether an --output pushes. The builder always rewrites time stamps."""
    fields = next(csv.reader(io.StringIO(output)))
    values = dict(field.partition("=")[::2] for field in fields)
    unknown = set(values) - {"type", "push", "rewrite-timestamp", "name"}
    if values.get("type") == "registry":
        return True
    if values.get("type") not in {"image", "docker"} or unknown or "name" in values:
        raise BuildError(f"--output {output} is not emulated by the sandbox; use type=image")
    return values.get("push") == "true"

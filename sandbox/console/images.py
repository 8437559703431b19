"""Images in ECR, and the containers that run them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sandbox.console.account import Account
from sandbox.console.documents import Container, Image, ImagesDocument, RefusedError, Repository
from sandbox.console.stacks import Stacks
from sandbox.engine import EngineError
from sandbox.providers.failures import Failure
from sandbox.providers.kubernetes.client import ApiStatusError, Client, UnreachableError

_REPOSITORY_TYPE = "aws:ecr/repository:Repository"


def images_document(stacks: Stacks, account: Account) -> ImagesDocument:
    """Return the repositories of all stacks, with the containers of all their clusters."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - slow, as boto3

    containers: dict[str, list[Container]] = {}
    problems: list[str] = []
    for stack in stacks.existing():
        try:
            cluster = account.cluster(stack)
            for image, container in _containers(stack, cluster) if cluster else ():
                containers.setdefault(image, []).append(container)
        except (ApiStatusError, UnreachableError, Failure, EngineError) as error:
            problems.append(f"The cluster of {stack} does not respond: {error}")
        except RefusedError as error:
            if str(error) not in problems:
                problems.append(str(error))
    repositories: list[Repository] = []
    for stack, name, region in _repositories(stacks):
        try:
            images = tuple(_images(account.ecr(region), name, containers))
            repositories.append(Repository(stack=stack, name=name, images=images))
        except (BotoCoreError, ClientError) as error:
            problems.append(f"The images of {name} cannot be listed: {error}")
        except RefusedError:  # reported with the clusters
            break
    repositories.sort(key=lambda item: (not item.images, item.stack, item.name))
    return ImagesDocument(repositories=tuple(repositories), problems=tuple(problems))


def _repositories(stacks: Stacks) -> Iterator[tuple[str, str, str]]:
    """Yield stack, name and region of each repository."""
    for stack in stacks.existing():
        for item in stacks.resources(stack):
            outputs = item.get("outputs") or {}
            if item["type"] == _REPOSITORY_TYPE and outputs.get("arn"):
                yield stack, str(outputs["name"]), str(outputs["arn"]).split(":")[3]


def _images(ecr: Any, repository: str, containers: dict[str, list[Container]]) -> Iterator[Image]:
    pages = ecr.get_paginator("describe_images").paginate(repositoryName=repository)
    details = [item for page in pages for item in page["imageDetails"]]
    details.sort(key=lambda item: item["imagePushedAt"], reverse=True)
    for item in details:
        media_type = item.get("artifactMediaType") or item.get("imageManifestMediaType") or ""
        yield Image(
            digest=item["imageDigest"],
            tags=tuple(sorted(item.get("imageTags") or ())),
            size=int(item.get("imageSizeInBytes") or 0),
            pushed=item["imagePushedAt"].timestamp(),
            media_type=str(media_type),
            containers=tuple(containers.get(f"{repository}@{item['imageDigest']}", ())),
        )


def _containers(stack: str, client: Client) -> Iterator[tuple[str, Container]]:
    """Yield each container of the cluster's pods with its image, `REPOSITORY@DIGEST`."""
    for pod in client.request("GET", "/api/v1/pods")[0]["items"]:
        images = {item["name"]: item["image"] for item in pod["spec"]["containers"]}
        for status in pod.get("status", {}).get("containerStatuses") or ():
            running = str(status.get("imageID") or "")
            reference = running if "@" in running else str(images.get(status["name"], ""))
            if image := repository_and_digest(reference):
                yield (
                    image,
                    Container(
                        stack=stack,
                        namespace=pod["metadata"]["namespace"],
                        pod=pod["metadata"]["name"],
                        container=status["name"],
                        ready=bool(status.get("ready")),
                    ),
                )


def repository_and_digest(reference: str) -> str:
    """Return `REPOSITORY@DIGEST` of `REGISTRY/REPOSITORY[:TAG]@DIGEST`; empty without digest."""
    name, _, digest = reference.removeprefix("docker-pullable://").partition("@")
    repository = name.partition("/")[2].partition(":")[0]
    return f"{repository}@{digest}" if repository and digest.startswith("sha256:") else ""

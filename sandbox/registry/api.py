"""The OCI distribution API (v2) of the registry.

Source: https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md. Deletion is
refused: images in ECR are deleted through ECR's API.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from flask import Flask, Response, g, jsonify, make_response, request, send_file
from werkzeug.exceptions import HTTPException

from sandbox.contracts.image_manifest import validate_digest
from sandbox.contracts.image_repositories import ImageRepositories, RegistryError
from sandbox.registry.repositories import Repositories
from sandbox.registry.store import RegistryStore

# The specification requires at least 4 MiB, which is ECR's quota.
MANIFEST_LIMIT = 4 << 20

# The permissions of each request. Sources: ECR User Guide, "Required IAM permissions for pushing
# an image" and "… for pulling an image"; API reference, ListImageReferrers.
_ACTIONS = {
    ("tags", "GET"): ("ecr:ListImages",),
    ("referrers", "GET"): ("ecr:BatchGetImage",),
    ("manifest", "GET"): ("ecr:BatchGetImage",),
    ("manifest", "HEAD"): ("ecr:BatchGetImage",),
    ("push", "PUT"): ("ecr:PutImage",),
    ("blob", "HEAD"): ("ecr:BatchCheckLayerAvailability",),
    ("blob", "GET"): ("ecr:GetDownloadUrlForLayer",),
    ("begin", "POST"): ("ecr:InitiateLayerUpload",),
    ("append", "PATCH"): ("ecr:UploadLayerPart",),
    ("complete", "PUT"): ("ecr:UploadLayerPart", "ecr:CompleteLayerUpload"),
}


def create_app(store: RegistryStore, owner: ImageRepositories) -> Flask:
    """Return the WSGI application; errors are JSON as in the specification."""
    app = Flask("sandbox.registry", static_folder=None)
    app.url_map.strict_slashes = False
    _authorization(app, owner)
    _listings(app, store, owner)
    _manifests(app, Repositories(store, owner))
    _blobs(app, store, owner)
    _uploads(app, store, owner)
    return app


def _authorization(app: Flask, owner: ImageRepositories) -> None:
    @app.before_request
    def authorize() -> None:
        if (credentials := request.authorization) is None or credentials.type != "basic":
            g.access_key = owner.authorize("", "")
        else:
            g.access_key = owner.authorize(credentials.username or "", credentials.password or "")
        repository = (request.view_args or {}).get("name")
        if repository is not None:
            for action in _ACTIONS.get((str(request.endpoint), request.method), ()):
                owner.permit(g.access_key, action, repository)

    @app.after_request
    def add_version_header(response: Response) -> Response:
        response.headers["Docker-Distribution-Api-Version"] = "registry/2.0"
        return response

    @app.errorhandler(RegistryError)
    def registry_error(error: RegistryError) -> Response:
        return _error(error.status, error.code, error.message, error.headers)

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        status = error.code or 500
        return _error(
            status,
            "UNSUPPORTED",
            f"{request.method} {request.path}: {HTTPStatus(status).phrase}.",
            {},
        )


def _listings(app: Flask, store: RegistryStore, owner: ImageRepositories) -> None:
    repositories = Repositories(store, owner)

    @app.get("/v2/")
    def ping() -> Response:
        return jsonify({})

    @app.get("/v2/_catalog")
    def catalog() -> Response:
        page, link = _page(owner.repositories(), "/v2/_catalog")
        return _linked(jsonify({"repositories": page}), link)

    @app.get("/v2/<path:name>/tags/list")
    def tags(name: str) -> Response:
        owner.require(name)
        names = sorted(tag for image in owner.images(name).values() for tag in image.tags)
        page, link = _page(names, f"/v2/{name}/tags/list")
        return _linked(jsonify({"name": name, "tags": page}), link)

    @app.get("/v2/<path:name>/referrers/<digest>")
    def referrers(name: str, digest: str) -> Response:
        artifact_type = request.args.get("artifactType")
        manifests = [
            {
                "mediaType": image.media_type,
                "digest": image.digest,
                "size": len(store.read(image.digest)),
                "artifactType": image.artifact_type,
                "annotations": image.annotations,
            }
            for image in repositories.referrers(name, validate_digest(digest))
            if artifact_type in (None, image.artifact_type)
        ]
        body = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": manifests,
        }
        response = make_response(body)
        response.headers["Content-Type"] = body["mediaType"]
        if artifact_type is not None:
            response.headers["OCI-Filters-Applied"] = "artifactType"
        return response


def _manifests(app: Flask, repositories: Repositories) -> None:
    @app.route("/v2/<path:name>/manifests/<reference>", methods=["GET"])
    def manifest(
        name: str, reference: str
    ) -> Response:  # Flask answers HEAD with the same headers.
        image = repositories.find(name, reference)
        if request.method == "GET":
            repositories.record_pull(name, image)
        response = make_response(image.manifest)
        response.headers["Content-Type"] = image.media_type
        response.headers["Docker-Content-Digest"] = image.digest
        return response

    @app.put("/v2/<path:name>/manifests/<reference>")
    def push(name: str, reference: str) -> Response:
        if (request.content_length or 0) > MANIFEST_LIMIT:
            raise RegistryError(
                413, "MANIFEST_INVALID", f"A manifest has at most {MANIFEST_LIMIT} bytes."
            )
        data = request.stream.read(MANIFEST_LIMIT + 1)
        if len(data) > MANIFEST_LIMIT:
            raise RegistryError(
                413, "MANIFEST_INVALID", f"A manifest has at most {MANIFEST_LIMIT} bytes."
            )
        digest, subject = repositories.push(name, reference, data, request.mimetype or None)
        response = _accepted(201, f"/v2/{name}/manifests/{digest}", digest)
        if subject:
            response.headers["OCI-Subject"] = subject
        return response


def _blobs(app: Flask, store: RegistryStore, owner: ImageRepositories) -> None:
    @app.route("/v2/<path:name>/blobs/<digest>", methods=["GET"])
    def blob(name: str, digest: str) -> Response:
        owner.require(name)
        path = store.blob(name, validate_digest(digest))
        if path is None:
            raise RegistryError(
                404, "BLOB_UNKNOWN", f"The repository '{name}' has no blob {digest}."
            )
        # The digest is the content's ETag; `conditional` answers Range requests.
        response = send_file(
            path, mimetype="application/octet-stream", etag=digest, conditional=True
        )
        response.headers["Docker-Content-Digest"] = digest
        response.headers["Accept-Ranges"] = "bytes"
        return response

    @app.delete("/v2/<path:name>/manifests/<reference>")
    @app.delete("/v2/<path:name>/blobs/<reference>")
    def delete(name: str, reference: str) -> Response:
        raise RegistryError(
            405,
            "UNSUPPORTED",
            f"Images are deleted through ECR: aws ecr batch-delete-image --repository-name {name} "
            f"--image-ids imageDigest={reference}",
        )


def _readable(owner: ImageRepositories, source: str) -> bool:
    """Whether the caller may copy layers of a repository; if not, clients upload them."""
    try:
        owner.permit(g.access_key, "ecr:GetDownloadUrlForLayer", source)
    except RegistryError:
        return False
    return True


def _uploads(app: Flask, store: RegistryStore, owner: ImageRepositories) -> None:
    def _finish(name: str, upload: str, digest: str) -> Response:
        validate_digest(digest)
        store.upload(name, upload).write(request.stream)
        store.finish(name, upload, digest)
        return _accepted(201, f"/v2/{name}/blobs/{digest}", digest)

    @app.post("/v2/<path:name>/blobs/uploads/")
    def begin(name: str) -> Response:
        owner.require(name)
        mounted, source = request.args.get("mount"), request.args.get("from")
        if mounted and source and _readable(owner, source):
            blob = store.blob(source, validate_digest(mounted))
        else:
            blob = None
        if mounted and blob:
            store.link(name, mounted)
            return _accepted(201, f"/v2/{name}/blobs/{mounted}", mounted)
        upload = store.begin(name)
        if digest := request.args.get("digest"):
            return _finish(name, upload, digest)
        return _progress(202, name, upload, 0)

    @app.patch("/v2/<path:name>/blobs/uploads/<upload>")
    def append(name: str, upload: str) -> Response:
        target = store.upload(name, upload)
        if (content_range := request.headers.get("Content-Range")) and content_range.partition("-")[
            0
        ] != str(target.size):
            raise RegistryError(
                416,
                "BLOB_UPLOAD_INVALID",
                f"The upload has {target.size} bytes; a chunk of {content_range} does not "
                "follow them.",
            )
        target.write(request.stream)
        return _progress(202, name, upload, target.size)

    @app.put("/v2/<path:name>/blobs/uploads/<upload>")
    def complete(name: str, upload: str) -> Response:
        return _finish(name, upload, request.args.get("digest", ""))

    @app.get("/v2/<path:name>/blobs/uploads/<upload>")
    def progress(name: str, upload: str) -> Response:
        return _progress(204, name, upload, store.upload(name, upload).size)

    @app.delete("/v2/<path:name>/blobs/uploads/<upload>")
    def cancel(name: str, upload: str) -> Response:
        store.cancel(name, upload)
        return Response(status=204)


def _accepted(status: int, location: str, digest: str) -> Response:
    response = Response(status=status)
    response.headers["Location"] = location
    response.headers["Docker-Content-Digest"] = digest
    return response


def _progress(status: int, name: str, upload: str, size: int) -> Response:
    response = Response(status=status)
    response.headers["Location"] = f"/v2/{name}/blobs/uploads/{upload}"
    response.headers["Docker-Upload-UUID"] = upload
    response.headers["Range"] = f"0-{max(size - 1, 0)}"
    return response


def _page(names: Sequence[str], path: str) -> tuple[list[str], str | None]:
    """Return the page of `names` that `last` and `n` select, and the link to the next one."""
    last, limit = request.args.get("last"), request.args.get("n", type=int)
    rest = [name for name in names if last is None or name > last]
    if limit is None or limit < 0 or len(rest) <= limit:
        return rest, None
    page = rest[:limit]
    return page, f'<{path}?n={limit}&last={page[-1]}>; rel="next"' if page else None


def _linked(response: Response, link: str | None) -> Response:
    if link:
        response.headers["Link"] = link
    return response


def _error(status: int, code: str, message: str, headers: dict[str, str]) -> Response:
    response = make_response({"errors": [{"code": code, "message": message}]}, status)
    response.headers.update(headers)
    return response

#!/usr/bin/env bash
# Fails unless $REPOSITORY_NAME has a signature of $IMAGE_DIGEST and its SBOM by the KMS key $SIGNING_KEY.
# An empty SIGNING_KEY needs no signature.
set -euo pipefail
source registry.sh

refuse() {
  echo "$REPOSITORY_NAME@$IMAGE_DIGEST is refused: $1" >&2
  exit 1
}

if [ -z "$SIGNING_KEY" ]; then exit 0; fi
registry_login
tag="$(artifact_tag "$IMAGE_DIGEST" sig)"
if [ -z "$(tag_digest "$REPOSITORY_NAME" "$tag")" ]; then
  refuse "it is not signed. Release it through the pipeline, or disable pipeline.admission.signature."
fi
get_manifest "$REPOSITORY_NAME" "$tag" >/tmp/signature-manifest
payload="$(jq -r '.layers[0].digest' /tmp/signature-manifest)"
registry_request "$REPOSITORY_NAME/blobs/$payload" --output /tmp/payload
jq -r '.layers[0].annotations["dev.cosignproject.cosign/signature"]' /tmp/signature-manifest |
  base64 --decode >/tmp/signature
if ! aws kms verify --key-id "$SIGNING_KEY" --message fileb:///tmp/payload --message-type RAW \
  --signature fileb:///tmp/signature --signing-algorithm ECDSA_SHA_256 >/dev/null; then
  refuse "its signature is not by $SIGNING_KEY."
fi
if [ "$(jq -r '.critical.image["docker-manifest-digest"]' /tmp/payload)" != "$IMAGE_DIGEST" ]; then
  refuse "its signature is one of another image."
fi
sbom="$(jq -r '.optional.sbom' /tmp/payload)"
if [ "$(tag_digest "$REPOSITORY_NAME" "$(artifact_tag "$IMAGE_DIGEST" sbom)")" != "$sbom" ]; then
  refuse "its SBOM is not the signed one, $sbom."
fi
echo "Signature: $IMAGE_DIGEST and its SBOM are signed by $SIGNING_KEY."

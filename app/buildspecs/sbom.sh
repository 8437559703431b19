#!/usr/bin/env bash
# Attaches the SBOM of $REPOSITORY_URL@$IMAGE_DIGEST (SPDX), which BuildKit generates from the cached build.
# An image with attestations would be an index, which ECR does not scan.
set -euo pipefail
source registry.sh

if [ -z "$SBOM_GENERATOR" ]; then exit 0; fi
registry_login
if [ -n "$(tag_digest "$REPOSITORY_NAME" "$(artifact_tag "$IMAGE_DIGEST" sbom)")" ]; then
  echo "The image has an SBOM."
  exit 0
fi
base=()
if [ -n "$BASE_IMAGE" ]; then base=(--build-arg "BASE_IMAGE=$BASE_IMAGE"); fi
docker buildx build "$CONTEXT" --output type=local,dest=/tmp/sbom --platform "$PLATFORM" \
  --provenance=false --sbom="generator=$SBOM_GENERATOR" "${base[@]}" \
  --build-arg "REVISION=$COMMIT" --build-arg "VERSION=$COMMIT" --build-arg "SOURCE_DATE_EPOCH=0" \
  --cache-from "type=registry,ref=$CACHE_URL:main"
printf '{}' >/tmp/empty
attach "$REPOSITORY_NAME" "$IMAGE_DIGEST" sbom application/spdx+json \
  application/vnd.oci.empty.v1+json /tmp/empty application/spdx+json /tmp/sbom/sbom.spdx.json
echo "SBOM: $(jq '.packages | length' /tmp/sbom/sbom.spdx.json) packages"

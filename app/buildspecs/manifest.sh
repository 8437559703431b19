#!/usr/bin/env bash
# Writes deployment.json: $REPOSITORY_URL@$IMAGE_DIGEST of $COMMIT in $CONTAINERS and $INIT_CONTAINERS of $DEPLOYMENT.
# CodePipeline's EKS action applies it with `kubectl apply`, which leaves fields that it does not contain.
set -euo pipefail
source release-fields.sh

require_digest
jq --null-input --arg name "$DEPLOYMENT" --arg namespace "$NAMESPACE" --arg containers "$CONTAINERS" --arg init "$INIT_CONTAINERS" '
  def containers: split(" ") | map(select(. != "") | {name: .});
  {
    metadata: {name: $name, namespace: $namespace},
    spec: {template: {spec: {containers: ($containers | containers), initContainers: ($init | containers)}}}
  }' | release_fields "$REPOSITORY_URL@$IMAGE_DIGEST" "$IMAGE_DIGEST" "$COMMIT" >deployment.json
cat deployment.json

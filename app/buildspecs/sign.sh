#!/usr/bin/env bash
# Signs $REPOSITORY_URL@$IMAGE_DIGEST and its SBOM with the KMS key $SIGNING_KEY, in cosign's format
# (https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md).
set -euo pipefail
source registry.sh

registry_login
if [ -n "$(tag_digest "$REPOSITORY_NAME" "$(artifact_tag "$IMAGE_DIGEST" sig)")" ]; then
  echo "The image is signed."
  exit 0
fi
sbom="$(tag_digest "$REPOSITORY_NAME" "$(artifact_tag "$IMAGE_DIGEST" sbom)")"
if [ -z "$sbom" ]; then
  echo "$REPOSITORY_NAME@$IMAGE_DIGEST has no SBOM, so it is not signed. Run the build again." >&2
  exit 1
fi
jq -cjn --arg reference "$REPOSITORY_URL" --arg digest "$IMAGE_DIGEST" --arg sbom "$sbom" '{
  critical: {
    identity: {"docker-reference": $reference},
    image: {"docker-manifest-digest": $digest},
    type: "cosign container image signature"
  },
  optional: {sbom: $sbom}
}' >/tmp/payload
signature="$(aws kms sign --key-id "$SIGNING_KEY" --message fileb:///tmp/payload --message-type RAW \
  --signing-algorithm ECDSA_SHA_256 --query Signature --output text)"
jq -cn --arg id "$(descriptor "" /tmp/payload | jq -r .digest)" \
  '{architecture: "", os: "", config: {}, rootfs: {type: "layers", diff_ids: [$id]}}' >/tmp/config
attach "$REPOSITORY_NAME" "$IMAGE_DIGEST" sig application/vnd.dev.cosign.artifact.sig.v1+json \
  application/vnd.oci.image.config.v1+json /tmp/config \
  application/vnd.dev.cosign.simplesigning.v1+json /tmp/payload \
  "$(jq -cn --arg signature "$signature" '{"dev.cosignproject.cosign/signature": $signature}')"
echo "Signed $IMAGE_DIGEST and its SBOM $sbom."

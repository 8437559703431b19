#!/usr/bin/env bash
# Rolls out $REPOSITORY_URL@$IMAGE_DIGEST of $COMMIT to $DEPLOYMENT in $NAMESPACE; needs kubectl, jq and a kubeconfig.
# Exit codes: 0 rolled out, 1 failed and reverted.
set -euo pipefail
source release-fields.sh

require_digest
image="$REPOSITORY_URL@$IMAGE_DIGEST"
deployment="deployment/$DEPLOYMENT"

kube() {
  kubectl --namespace "$NAMESPACE" "$@"
}

# The fields of the Deployment that this field manager owns; applying them changes no others.
before="$(kube get "$deployment" --output json)"
apply() {
  release_fields "$1" "$2" "$3" <<<"$before" | kube apply --server-side --field-manager=pipeline --force-conflicts --filename -
}

previous() {
  jq --raw-output "$1" <<<"$before"
}

apply "$image" "$IMAGE_DIGEST" "$COMMIT"
if kube rollout status "$deployment" --timeout=5m; then
  echo "Released $image"
  exit 0
fi

echo "The roll-out of $image failed. Pods and events:" >&2
kube get pods --output wide >&2 || true
kube get events --sort-by=.lastTimestamp >&2 | tail -n 20 || true

old_image="$(previous '.spec.template.spec.containers[0].image')"
echo "Reverting to $old_image" >&2
# Not `rollout undo`, after which the pipeline would no longer own the image.
apply "$old_image" \
  "$(previous '.spec.template.metadata.annotations["release.platform/digest"] // ""')" \
  "$(previous '.spec.template.metadata.annotations["release.platform/commit"] // ""')"
kube rollout status "$deployment" --timeout=5m || echo "The previous release is not rolled out either; check the cluster." >&2
exit 1

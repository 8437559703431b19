#!/usr/bin/env bash
# Rolls out $REPOSITORY_URL@$IMAGE_DIGEST of $COMMIT to $DEPLOYMENT in $NAMESPACE; needs kubectl, jq and a kubeconfig.
# Exit codes: 0 rolled out, 1 failed and undone.
set -euo pipefail

image="$REPOSITORY_URL@$IMAGE_DIGEST"
deployment="deployment/$DEPLOYMENT"

case "$IMAGE_DIGEST" in
  sha256:*) ;;
  *)
    echo "There is no digest to deploy: IMAGE_DIGEST is '$IMAGE_DIGEST'." >&2
    exit 1
    ;;
esac

kube() {
  kubectl --namespace "$NAMESPACE" "$@"
}

# The Deployment as it stands, cut down to what this field manager owns: applying it changes nothing else.
before="$(kube get "$deployment" --output json)"
patch() {
  jq --arg image "$1" --arg digest "$2" --arg commit "$3" '{
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: {name: .metadata.name, namespace: .metadata.namespace},
    spec: {template: {
      metadata: {annotations: {
        "release.platform/digest": $digest,
        "release.platform/version": $commit,
        "release.platform/commit": $commit
      }},
      spec: (
        {containers: [.spec.template.spec.containers[] | {name, image: $image}]}
        + if .spec.template.spec.initContainers then
            {initContainers: [.spec.template.spec.initContainers[] | {name, image: $image}]}
          else {} end
      )
    }}
  }' <<<"$before"
}

apply() {
  patch "$1" "$2" "$3" | kube apply --server-side --field-manager=pipeline --force-conflicts --filename -
}

previous() {
  jq --raw-output "$1" <<<"$before"
}

apply "$image" "$IMAGE_DIGEST" "$COMMIT"
if kube rollout status "$deployment" --timeout=5m; then
  echo "Released $image"
  exit 0
fi

echo "The roll-out of $image failed. What its pods say:" >&2
kube get pods --output wide >&2 || true
kube get events --sort-by=.lastTimestamp >&2 | tail -n 20 || true

old_image="$(previous '.spec.template.spec.containers[0].image')"
echo "Going back to $old_image" >&2
# Not `rollout undo`, which would leave the image to nobody: the pipeline owned it before and owns it after.
apply "$old_image" \
  "$(previous '.spec.template.metadata.annotations["release.platform/digest"] // ""')" \
  "$(previous '.spec.template.metadata.annotations["release.platform/commit"] // ""')"
kube rollout status "$deployment" --timeout=5m || echo "Going back isn't finished either: look at the cluster." >&2
exit 1

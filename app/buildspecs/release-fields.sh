# Reduces a Deployment to the fields that a release sets: release_fields IMAGE DIGEST COMMIT.
require_digest() {
  case "$IMAGE_DIGEST" in
    sha256:*) ;;
    *)
      echo "IMAGE_DIGEST must be a digest, not '$IMAGE_DIGEST'." >&2
      exit 1
      ;;
  esac
}

release_fields() {
  jq --arg image "$1" --arg digest "$2" --arg commit "$3" '
    def released: [.[]? | {name, image: $image}];
    {
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
          {containers: (.spec.template.spec.containers | released)}
          + if (.spec.template.spec.initContainers // []) == [] then {}
            else {initContainers: (.spec.template.spec.initContainers | released)} end
        )
      }}
    }'
}

# Reads and writes artifacts of images in ECR over the OCI distribution API; needs aws, curl and jq.
# The tags sha256-….sig and sha256-….sbom are those of cosign; `subject` makes ECR delete an artifact
# with its image.
OCI_MANIFEST=application/vnd.oci.image.manifest.v1+json

registry_login() {
  local token
  read -r token registry < <(aws ecr get-authorization-token \
    --query 'authorizationData[0].[authorizationToken,proxyEndpoint]' --output text)
  (umask 077 && echo "Authorization: Basic $token" >/tmp/registry-credentials)
}

# registry_request PATH_OR_URL [curl options…]
registry_request() {
  local url="$1"
  case "$url" in http*) ;; *) url="$registry/v2/$url" ;; esac
  curl --fail-with-body --silent --show-error --location --max-time 120 \
    --header @/tmp/registry-credentials "${@:2}" "$url"
}

# artifact_tag DIGEST KIND: the tag of the image's signature (sig) or SBOM (sbom).
artifact_tag() { echo "${1/:/-}.$2"; }

# tag_digest REPOSITORY TAG: the tag's digest; empty if there is none.
tag_digest() {
  local digest
  if digest="$(aws ecr describe-images --repository-name "$1" --image-ids imageTag="$2" \
    --query 'imageDetails[0].imageDigest' --output text 2>/tmp/tag-error)"; then
    echo "$digest"
  elif ! grep -q ImageNotFoundException /tmp/tag-error; then
    cat /tmp/tag-error >&2
    return 1
  fi
}

# get_manifest REPOSITORY REFERENCE
get_manifest() { registry_request "$1/manifests/$2" --header "Accept: $OCI_MANIFEST"; }

# descriptor MEDIA_TYPE FILE
descriptor() {
  jq -cn --arg type "$1" --arg digest "sha256:$(sha256sum <"$2" | cut -d ' ' -f 1)" \
    --argjson size "$(wc -c <"$2")" '{mediaType: $type, digest: $digest, size: $size}'
}

# push_blob REPOSITORY FILE
push_blob() {
  local location digest
  digest="$(descriptor "" "$2" | jq -r .digest)"
  location="$(registry_request "$1/blobs/uploads/" --request POST --output /dev/null --dump-header - |
    tr -d '\r' | sed -n 's/^[Ll]ocation: //p')"
  case "$location" in /*) location="$registry$location" ;; esac
  case "$location" in *\?*) location="$location&digest=$digest" ;; *) location="$location?digest=$digest" ;; esac
  registry_request "$location" --request PUT --data-binary "@$2" \
    --header "Content-Type: application/octet-stream"
}

# push_manifest REPOSITORY TAG FILE
push_manifest() {
  registry_request "$1/manifests/$2" --request PUT --data-binary "@$3" \
    --header "Content-Type: $OCI_MANIFEST"
}

# attach REPOSITORY DIGEST KIND ARTIFACT_TYPE CONFIG_TYPE CONFIG_FILE LAYER_TYPE LAYER_FILE [ANNOTATIONS]
attach() {
  get_manifest "$1" "$2" >/tmp/subject
  push_blob "$1" "$6"
  push_blob "$1" "$8"
  jq -cn --arg type "$OCI_MANIFEST" --arg artifact "$4" \
    --argjson config "$(descriptor "$5" "$6")" --argjson layer "$(descriptor "$7" "$8")" \
    --argjson annotations "${9:-null}" \
    --argjson subject "$(descriptor "$(jq -r '.mediaType' /tmp/subject)" /tmp/subject)" '{
      schemaVersion: 2, mediaType: $type, artifactType: $artifact, config: $config,
      layers: [$layer + if $annotations then {annotations: $annotations} else {} end],
      subject: $subject
    }' >/tmp/artifact
  push_manifest "$1" "$(artifact_tag "$2" "$3")" /tmp/artifact
}

# copy_artifacts FROM TO DIGEST: copy signature and SBOM of an image to another repository.
copy_artifacts() {
  local kind tag digest blob
  for kind in sbom sig; do
    tag="$(artifact_tag "$3" "$kind")"
    digest="$(tag_digest "$1" "$tag")"
    if [ -z "$digest" ] || [ "$(tag_digest "$2" "$tag")" = "$digest" ]; then continue; fi
    get_manifest "$1" "$tag" >/tmp/artifact
    for blob in $(jq -r '.config.digest, .layers[].digest' /tmp/artifact); do
      registry_request "$1/blobs/$blob" --output /tmp/blob
      push_blob "$2" /tmp/blob
    done
    push_manifest "$2" "$tag" /tmp/artifact
    echo "Copied $tag to $2."
  done
}

# Exports CHANGED, SUMMARY and LOG_URL, and writes changes.json, what the update may change.
set -euo pipefail
source changes.sh
preview_changes
print_changes
CHANGED=true SUMMARY="$(summary)"
if [ "$(jq length /tmp/changes.json)" = 0 ]; then CHANGED=false; fi
# The update runs with these: it would end in the middle, and leave the rest to a person.
own="$(jq -r --arg name "$OWN_NAME" '
  .[] | select(.op | IN("delete", "replace"))
  | select(.urn | contains("::platform:index:Pipeline$"))
  | select(.name == $name or (.name | startswith("\($name)-infrastructure")))
  | "\(.op) \(.type) \(.name)"' /tmp/changes.json)"
if [ -n "$own" ]; then
  echo "This commit deletes or replaces resources that the update itself runs with:" >&2
  echo "$own" >&2
  echo "Run \`pulumi up --stack $STACK\` outside of the pipeline." >&2
  exit 1
fi
approvable_changes >changes.json
LOG_URL="https://$AWS_REGION.console.aws.amazon.com/codesuite/codebuild/projects/${CODEBUILD_BUILD_ID%%:*}/build/$CODEBUILD_BUILD_ID/log?region=$AWS_REGION"
export CHANGED SUMMARY LOG_URL
echo "$SUMMARY"

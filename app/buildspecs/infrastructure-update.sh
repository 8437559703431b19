#!/usr/bin/env bash
# Updates $STACK. If the pipeline itself was changed, starts it again with $REVISION of the source.
set -euo pipefail
source changes.sh

retry="aws codepipeline retry-stage-execution --pipeline-name $PIPELINE_NAME --stage-name Update --pipeline-execution-id $EXECUTION_ID --retry-mode FAILED_ACTIONS"
pipeline_version() {
  aws codepipeline get-pipeline --name "$PIPELINE_NAME" --query pipeline.version --output text
}

preview_changes
other="$(approvable_changes | jq -r --slurpfile approved "$CODEBUILD_SRC_DIR_changes/changes.json" \
  '. - $approved[0] | .[] | "\(.op) \(.urn): \([.properties[].path] | join(", "))"')"
if [ -n "$other" ]; then
  echo "The stack has changed since the preview. Not approved are:" >&2
  echo "$other" >&2
  echo "Nothing was changed. Start the pipeline again, which previews again: aws codepipeline start-pipeline-execution --name $PIPELINE_NAME" >&2
  exit 1
fi

# A Deployment whose image was released since the last update is refused until the state has that image
# (docs/decisions/0001-the-pipeline-owns-the-image.md).
deployments='**kubernetes:apps/v1:Deployment::**'
update() {
  if command -v sandbox >/dev/null; then
    sandbox refresh "$STACK" --yes --target "$deployments" && sandbox up "$STACK" --yes
  else
    local options=(--stack "$STACK" --yes --non-interactive --suppress-outputs)
    pulumi refresh "${options[@]}" --skip-preview --target "$deployments" && pulumi up "${options[@]}" --skip-preview
  fi
}

version="$(pipeline_version)" code=0
update 2>&1 | tee /tmp/update.log || code=$?
if [ "$code" -ne 0 ]; then
  if grep -Eq 'stack is (currently )?locked' /tmp/update.log; then
    echo "Another update of $STACK is running. Nothing was changed. Wait for its end, then retry the stage:" >&2
  else
    echo "The update of $STACK failed, possibly after some changes. Remove the cause, then retry the stage, or push a correction:" >&2
  fi
  echo "$retry" >&2
  exit "$code"
fi

if [ "$(pipeline_version)" != "$version" ]; then
  echo "The update has changed the pipeline itself, so CodePipeline cancels this execution. Another one continues with the same commit:"
  aws codepipeline start-pipeline-execution --name "$PIPELINE_NAME" --query pipelineExecutionId --output text \
    --source-revisions "actionName=Source,revisionType=$REVISION_TYPE,revisionValue=$REVISION"
fi

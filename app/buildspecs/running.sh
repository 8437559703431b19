# Exports RUNNING, what this pipeline deployed last, and COMPARE_URL, its difference from $COMMIT.
# Only where a person approves releases.
set -euo pipefail
if [ -n "$APPROVAL" ]; then
  execution="$(aws codepipeline list-pipeline-executions --pipeline-name "$PIPELINE_NAME" --no-paginate \
    --filter 'succeededInStage={stageName=Deploy}' --query 'pipelineExecutionSummaries[0].pipelineExecutionId' --output text)"
  RUNNING="no release of this pipeline" COMPARE_URL="https://github.com/$REPOSITORY/commit/$COMMIT"
  if [ "$execution" != None ]; then
    deployed="$(aws codepipeline list-action-executions --pipeline-name "$PIPELINE_NAME" --filter "pipelineExecutionId=$execution" \
      --query "actionExecutionDetails[?actionName=='Verify'] | [0].input.resolvedConfiguration.EnvironmentVariables" --output text |
      jq -c 'map({(.name): .value}) | add')"
    RUNNING="commit $(jq -r .COMMIT <<<"$deployed") as image $(jq -r .IMAGE_DIGEST <<<"$deployed")"
    COMPARE_URL="https://github.com/$REPOSITORY/compare/$(jq -r .COMMIT <<<"$deployed")...$COMMIT"
  fi
  export RUNNING COMPARE_URL
  echo "Running: $RUNNING"
fi

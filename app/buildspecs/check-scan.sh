#!/usr/bin/env bash
# Fails if ECR has not scanned $REPOSITORY_NAME@$IMAGE_DIGEST, or found something of the severity $SCAN
# or above that $ACCEPTED_FINDINGS (JSON: id, reason, until) does not contain. SCAN=NONE needs no scan.
# A rollback is not prevented by findings that are newer than the release.
set -euo pipefail

refuse() {
  echo "$REPOSITORY_NAME@$IMAGE_DIGEST is refused: $1" >&2
  exit 1
}

if [ "$SCAN" = NONE ]; then exit 0; fi
status=PENDING
for attempt in $(seq 40); do # about nine minutes
  if aws ecr describe-image-scan-findings --repository-name "$REPOSITORY_NAME" \
    --image-id imageDigest="$IMAGE_DIGEST" --output json >/tmp/scan 2>/tmp/scan-error; then
    status="$(jq -r '.imageScanStatus.status' /tmp/scan)"
  elif ! grep -q ScanNotFoundException /tmp/scan-error; then
    cat /tmp/scan-error >&2
    exit 1
  fi
  case "$status" in
    COMPLETE | ACTIVE) break ;; # ACTIVE: enhanced scanning
    IN_PROGRESS | PENDING) sleep $((attempt < 15 ? attempt : 15)) ;;
    *) refuse "it was not scanned ($status: $(jq -r '.imageScanStatus.description // ""' /tmp/scan))." ;;
  esac
done
case "$status" in
  COMPLETE | ACTIVE) ;;
  *) refuse "its scan has not ended ($status)." ;;
esac

jq --arg scan "$SCAN" --arg today "$(date -u +%F)" --argjson accepted "$ACCEPTED_FINDINGS" '
  def rank: {CRITICAL: 4, HIGH: 3, MEDIUM: 2, LOW: 1}[.] // 0;
  [.imageScanFindings
    | (.findings[]? | {id: .name, severity, package: ([.attributes[]? | select(.key | startswith("package_")).value] | join(" "))}),
      (.enhancedFindings[]? | {id: .packageVulnerabilityDetails.vulnerabilityId, severity,
        package: ([.packageVulnerabilityDetails.vulnerablePackages[]? | "\(.name) \(.version)"] | join(", "))})]
  | map(select((.severity | rank) >= ($scan | rank)))
  | map(. + {accepted: (.id as $id | [$accepted[] | select(.id == $id and .until >= $today)][0])})
' /tmp/scan >/tmp/findings
jq -r '.[] | select(.accepted) | "Accepted until \(.accepted.until): \(.severity) \(.id) in \(.package) (\(.accepted.reason))"' /tmp/findings
jq -r '.[] | select(.accepted | not) | "\(.severity) \(.id) in \(.package)"' /tmp/findings >/tmp/refused
if [ ! -s /tmp/refused ]; then
  echo "Scan: no finding of severity $SCAN or above that is not accepted."
  exit 0
fi
cat /tmp/refused >&2
if [ -n "${EXECUTION_ID:-}" ] && [ "$(aws codepipeline get-pipeline-execution --pipeline-name "$PIPELINE_NAME" \
  --pipeline-execution-id "$EXECUTION_ID" --query 'pipelineExecution.executionType' --output text)" = ROLLBACK ]; then
  echo "Scan: the findings do not prevent a rollback." >&2
  exit 0
fi
refuse "its scan has $(wc -l </tmp/refused) finding(s) of severity $SCAN or above. Update the packages, or accept them in pipeline.admission.accepted_findings."

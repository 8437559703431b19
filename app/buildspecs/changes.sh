# Previews $STACK and describes the changes; needs jq, and Pulumi or the sandbox.

# preview_changes: write the operations to /tmp/changes.json, with the old and new values of properties.
# Both tools mask secrets.
preview_changes() {
  local code=0
  if command -v sandbox >/dev/null; then
    sandbox preview "$STACK" --json >/tmp/preview.json || code=$?
    echo "Engine: $(jq -r '.engine // "none"' /tmp/preview.json) in the sandbox"
  else
    pulumi preview --stack "$STACK" --json --non-interactive >/tmp/preview.json || code=$?
    echo "Engine: pulumi $(pulumi version)"
  fi
  if [ "$code" -ne 0 ]; then
    jq -r '((.diagnostics // [])[] | select(.severity == "error") | .message), (.error // empty)' /tmp/preview.json >&2 || cat /tmp/preview.json >&2
    echo "The preview of $STACK failed; nothing was changed. Correct the program or the stack file, and push again." >&2
    return 1
  fi
  # A replacement has three steps in Pulumi's document, of which one counts.
  jq '
    def masked: walk(if type == "object" and has("4dabf18193072939515e22adb298388d") then "[secret]" else . end);
    def at($path): try getpath([$path | splits("[][.\"]+") | select(. != "") | tonumber? // .]) catch null | masked;
    [
      (.steps // [])[] | . as $step
      | {op: (if .op == "import" then "create" else .op end), urn}
      | select(.op | IN("create", "update", "replace", "delete"))
      | . + {type: (.urn / "::")[2] | split("$")[-1], name: (.urn / "::")[3:] | join("::")}
      | . + {changes: (
          if $step.changes then [$step.changes[] | {path, replaces, old, new}]
          else [
            ($step.detailedDiff // {} | to_entries)[] | .key as $path
            | {path: $path, replaces: (.value.kind | endswith("-replace")),
               old: ($step.oldState.inputs | at($path)), new: ($step.newState.inputs | at($path))}
          ] end
        )}
    ] | sort_by(.urn)' /tmp/preview.json >/tmp/changes.json
}

# approvable_changes: print the operations without values.
approvable_changes() {
  jq '[.[] | {op, urn, properties: ([.changes[] | {path, replaces}] | sort)}]' /tmp/changes.json
}

# print_changes: print the operations with the values of properties.
print_changes() {
  jq -r '
    {create: "+", update: "~", replace: "+-", delete: "-"} as $signs
    | .[] | "\($signs[.op]) \(.op) \(.type) \(.name)",
      (.changes[] | "    \(.path): \(.old | tojson) => \(.new | tojson)\(if .replaces then " (replaces)" else "" end)")' /tmp/changes.json
}

# summary: print one line for the approval, with what is lost first. CodePipeline limits its length.
summary() {
  jq -r --argjson data "$DATA_TYPES" '
    def few: if length > 3 then .[:3] + ["and \(length - 3) more"] else . end | join(", ");
    def list($title): if length > 0 then "\($title): \(few)." else empty end;
    def named: "\(.type | sub("/[^:]*:"; ":")) \(.name)";
    . as $all
    | [
        ([.[] | select(.op | IN("delete", "replace")) | select($data[.type]) | "\(.op) of \(named) deletes \($data[.type])"] | list("DATA LOSS")),
        ([("create", "update", "replace", "delete") as $op | ($all | map(select(.op == $op)) | length) as $count
          | select($count > 0) | "\($count) to \($op)"] | if . == [] then "No changes." else "\(join(", "))." end),
        ([.[] | select(.op == "replace") | named] | list("Replaced")),
        ([.[] | select(.op == "delete") | named] | list("Deleted"))
      ] | join(" ") | .[:700]' /tmp/changes.json
}

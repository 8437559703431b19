#!/bin/sh
# Reports pushed references to the sandbox's background process, which starts pipelines.
set -eu
partial="$(mktemp pushes/partial.XXXXXX)"
cat > "$partial"
mv "$partial" "pushes/$(date +%s%N)-$$.push"
echo "The sandbox starts the pipelines whose triggers match; sandbox pipeline watch STACK shows them."

# Installs Pulumi and the program's packages. The sandbox's CodeBuild has the command `sandbox`, which
# replaces Pulumi, its state and the packages.
set -euo pipefail
if ! command -v sandbox >/dev/null; then
  if ! command -v pulumi >/dev/null; then
    curl -fsSL https://get.pulumi.com | sh -s -- --version 3.274.1
    export PATH="$HOME/.pulumi/bin:$PATH"
  fi
  python3 -m venv .venv # Pulumi.yaml names it
  .venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
fi

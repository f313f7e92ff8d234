#!/usr/bin/env bash
# Builds the part of Terraform's AWS provider that deploy/terraform needs, in the
# user's cache, for tools/terraform.sh on a machine that does not reach the
# registry.
set -euo pipefail
cd "$(dirname "$0")/.."

mirror=${XDG_CACHE_HOME:-$HOME/.cache}/annals/terraform/mirror
if [ -d "$mirror" ]; then
	exit 0
fi
mkdir -p "$(dirname "$mirror")"
# Beside its place, so that the move below is within one file system.
temporary=$(mktemp -d "$mirror.XXXXXX")
trap 'rm -rf "$temporary"' EXIT
(cd deploy/compare && go run ./provider -out "$temporary/mirror")
mv "$temporary/mirror" "$mirror"

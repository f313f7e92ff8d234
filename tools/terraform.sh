#!/usr/bin/env bash
# Checks deploy/terraform with Terraform itself: its format wherever terraform is,
# validate and test where the AWS provider is at hand too. That is where the
# registry can be reached, where tools/terraform-provider.sh has built a provider,
# or where TF_CLI_CONFIG_FILE names a mirror or an override. Nothing is asked of AWS, and nothing is left in the tree.
#
# Where something is missing this says so and succeeds, as the tests of
# deploy/compare hold the module without Terraform; -strict makes it fail.
set -euo pipefail
cd "$(dirname "$0")/.."

skipped() {
	echo "***" >&2
	echo "*** NOT CHECKED by $1: $2" >&2
	echo "***" >&2
	if [ "$strict" = -strict ]; then
		exit 1
	fi
	exit 0
}

strict=${1:-}
if ! command -v terraform >/dev/null; then
	skipped "terraform fmt, validate and test" "terraform is not on PATH; install Terraform 1.9 or later"
fi
terraform fmt -check -diff -recursive deploy/terraform

mirror=${XDG_CACHE_HOME:-$HOME/.cache}/annals/terraform/mirror
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r deploy/terraform/. "$work"
cd "$work"
export CHECKPOINT_DISABLE=1
if [ ! -f "${TF_CLI_CONFIG_FILE:-}" ] && [ -d "$mirror" ]; then
	printf 'provider_installation {\n  filesystem_mirror {\n    path = "%s"\n  }\n}\n' "$mirror" >"$work/terraformrc"
	export TF_CLI_CONFIG_FILE=$work/terraformrc
fi

# init fails under dev_overrides, where it is not needed.
terraform init -backend=false -input=false -no-color >init.out 2>&1 || true
if ! terraform providers schema -json >/dev/null 2>&1; then
	cat init.out >&2
	skipped "terraform validate and test" "the AWS provider is not at hand; run tools/terraform-provider.sh, which builds it in some minutes, or set TF_CLI_CONFIG_FILE"
fi
terraform validate -no-color
terraform test -no-color
for example in examples/*/; do
	if terraform -chdir="$example" init -backend=false -input=false -no-color >init.out 2>&1; then
		terraform -chdir="$example" validate -no-color
	else
		cat init.out >&2
		skipped "terraform validate of $example" "terraform init failed there, as it does under dev_overrides"
	fi
done

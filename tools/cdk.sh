#!/usr/bin/env bash
# Puts the CDK command, by which tests do what deploy/cdk/README.md says, below
# .tools. It comes from npm and brings all that it needs; a version and its checksum
# are pinned here. Versions from 3 on refuse the library that deploy/cdk uses.
set -euo pipefail
cd "$(dirname "$0")/.."

version=2.1148.1
sum=01b5e99ce9b096cec11f19369c4b3ba0aeea0d9000c7824014deffafe92a4c86
dir=.tools/aws-cdk-$version

if [ -e "$dir/bin/cdk" ]; then
	exit 0
fi
if ! command -v npm >/dev/null; then
	echo "tools/cdk.sh: npm is missing; install Node.js 20 or later" >&2
	exit 1
fi

mkdir -p .tools
# Beside its place, so that the move below is within one file system and atomic.
temporary=$(mktemp -d ".tools/aws-cdk.XXXXXX")
trap 'rm -rf "$temporary"' EXIT

if ! (cd "$temporary" && npm pack --silent "aws-cdk@$version" >npm.out 2>&1); then
	cat "$temporary/npm.out" >&2
	echo "tools/cdk.sh: npm could not fetch aws-cdk $version" >&2
	exit 1
fi
tarball=$temporary/aws-cdk-$version.tgz
if ! echo "$sum  $tarball" | sha256sum --check --status; then
	echo "tools/cdk.sh: what npm fetched does not have the checksum $sum; it was not kept" >&2
	exit 1
fi
tar -xzf "$tarball" -C "$temporary" package
rm -rf "$dir"
mv "$temporary/package" "$dir"

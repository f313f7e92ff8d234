#!/usr/bin/env bash
# Puts cfn-guard, which checks the CloudFormation template against the rules in
# deploy/cdk/rules, below .tools. It comes from npm, where AWS publishes its binary
# in a package of CDK; a version and its checksum are pinned here.
set -euo pipefail
cd "$(dirname "$0")/.."

package=0.0.62
version=3.1.1
sum=660c14562d4c79d524d0623d80d494e41797acae9da23ecb10915d7f66ada80c
dir=.tools/cfn-guard-$version

if [ -x "$dir/cfn-guard" ]; then
	exit 0
fi
if ! command -v npm >/dev/null; then
	echo "tools/guard.sh: npm is missing; install Node.js, or put cfn-guard $version at $dir/cfn-guard yourself" >&2
	exit 1
fi
case "$(uname -sm)" in
"Linux x86_64") binary=package/bin/ubuntu/x86_64/cfn-guard ;;
"Linux aarch64") binary=package/bin/ubuntu/aarch64/cfn-guard ;;
"Darwin x86_64") binary=package/bin/macos/x86_64/cfn-guard ;;
"Darwin arm64") binary=package/bin/macos/aarch64/cfn-guard ;;
*)
	echo "tools/guard.sh: there is no binary for $(uname -sm); put cfn-guard $version at $dir/cfn-guard yourself" >&2
	exit 1
	;;
esac

mkdir -p "$dir"
# Beside its place, so that the move below is within one file system and atomic.
temporary=$(mktemp -d "$dir/download.XXXXXX")
trap 'rm -rf "$temporary"' EXIT

if ! (cd "$temporary" && npm pack --silent "@cdklabs/cdk-validator-cfnguard@$package" >npm.out 2>&1); then
	cat "$temporary/npm.out" >&2
	echo "tools/guard.sh: npm could not fetch @cdklabs/cdk-validator-cfnguard $package" >&2
	exit 1
fi
tarball=$temporary/cdklabs-cdk-validator-cfnguard-$package.tgz
if ! echo "$sum  $tarball" | sha256sum --check --status; then
	echo "tools/guard.sh: what npm fetched does not have the checksum $sum; it was not kept" >&2
	exit 1
fi
tar -xzf "$tarball" -C "$temporary" "$binary"
chmod +x "$temporary/$binary"
mv "$temporary/$binary" "$dir/cfn-guard"

#!/usr/bin/env bash
# Puts dynoxide, the stand-in of DynamoDB that tests start, below .tools. It comes
# from npm because that is where its authors publish binaries; a version and its
# checksum are pinned here, as go.sum does for Go.
set -euo pipefail
cd "$(dirname "$0")/.."

version=1.2.1
sum=80e1ed33e33ec33c7bdcb1779ea09678e5c6f87c5c225f44c2037d2b2ea71164
dir=.tools/dynoxide-$version

if [ -x "$dir/dynoxide" ]; then
	exit 0
fi
if ! command -v npm >/dev/null; then
	echo "tools/dynoxide.sh: npm is missing; install Node.js, or put dynoxide $version at $dir/dynoxide yourself" >&2
	exit 1
fi
if [ "$(uname -sm)" != "Linux x86_64" ]; then
	echo "tools/dynoxide.sh: this fetches the binary for Linux on x86_64 only; put dynoxide $version at $dir/dynoxide yourself" >&2
	exit 1
fi

mkdir -p "$dir"
# Beside its place, so that the move below is within one file system and atomic.
temporary=$(mktemp -d "$dir/download.XXXXXX")
trap 'rm -rf "$temporary"' EXIT

if ! (cd "$temporary" && npm pack --silent "@dynoxide/linux-x64@$version" >npm.out 2>&1); then
	cat "$temporary/npm.out" >&2
	echo "tools/dynoxide.sh: npm could not fetch dynoxide $version" >&2
	exit 1
fi
tarball=$temporary/dynoxide-linux-x64-$version.tgz
if ! echo "$sum  $tarball" | sha256sum --check --status; then
	echo "tools/dynoxide.sh: what npm fetched does not have the checksum $sum; it was not kept" >&2
	exit 1
fi
tar -xzf "$tarball" -C "$temporary" package/dynoxide
chmod +x "$temporary/package/dynoxide"
mv "$temporary/package/dynoxide" "$dir/dynoxide"

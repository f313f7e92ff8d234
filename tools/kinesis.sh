#!/usr/bin/env bash
# Puts kinesalite, the stand-in of Kinesis that tests start, below .tools. It and
# all that it needs come from npm, pinned by the lock file in tools/kinesalite.
set -euo pipefail
cd "$(dirname "$0")/.."

version=3.3.3
dir=.tools/kinesalite-$version

if [ -e "$dir/node_modules/kinesalite/index.js" ]; then
	exit 0
fi
if ! command -v npm >/dev/null; then
	echo "tools/kinesis.sh: npm is missing; install Node.js 18 or later" >&2
	exit 1
fi

mkdir -p .tools
# Beside its place, so that the move below is within one file system and atomic.
temporary=$(mktemp -d ".tools/kinesalite.XXXXXX")
trap 'rm -rf "$temporary"' EXIT
cp tools/kinesalite/package.json tools/kinesalite/package-lock.json "$temporary"

# What is optional is a database on disk in C++; the tests keep streams in memory.
if ! (cd "$temporary" && npm ci --silent --omit=optional --ignore-scripts --no-audit --no-fund >npm.out 2>&1); then
	cat "$temporary/npm.out" >&2
	echo "tools/kinesis.sh: npm could not install kinesalite $version as tools/kinesalite/package-lock.json pins it" >&2
	exit 1
fi
rm -rf "$dir"
mv "$temporary" "$dir"

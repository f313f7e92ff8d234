#!/usr/bin/env bash
# Installs what the tests of the console drive: Chromium as Debian packages it, and
# axe-core, which finds violations of accessibility, from npm below .tools, pinned by
# the lock file in tools/axe.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/apt.sh

oldest=120
axe=4.14.1
dir=.tools/axe-core-$axe

stop() {
	echo "tools/chromium.sh: $1" >&2
	echo "tools/chromium.sh: the tests need Chromium $oldest or later: install it yourself, so that chromium is on PATH" >&2
	exit 1
}

# major prints the major version of Chromium, or fails where there is none.
major() {
	command -v chromium >/dev/null && chromium --version 2>/dev/null | sed -E 's/^[^0-9]*([0-9]+).*/\1/'
}

if ! version=$(major); then
	apt_rights chromium
	apt_install chromium fonts-liberation
	version=$(major) || stop "apt-get has installed chromium, but it is not there"
fi
[ "$version" -ge "$oldest" ] || stop "Chromium is installed in version $version, which is too old"

if [ -e "$dir/node_modules/axe-core/axe.min.js" ]; then
	exit 0
fi
if ! command -v npm >/dev/null; then
	echo "tools/chromium.sh: npm is missing; install Node.js 18 or later" >&2
	exit 1
fi
mkdir -p .tools
# Beside its place, so that the move below is within one file system and atomic.
temporary=$(mktemp -d ".tools/axe-core.XXXXXX")
trap 'rm -rf "$temporary"' EXIT
cp tools/axe/package.json tools/axe/package-lock.json "$temporary"
if ! (cd "$temporary" && npm ci --silent --ignore-scripts --no-audit --no-fund >npm.out 2>&1); then
	cat "$temporary/npm.out" >&2
	echo "tools/chromium.sh: npm could not install axe-core $axe as tools/axe/package-lock.json pins it" >&2
	exit 1
fi
rm -rf "$dir"
mv "$temporary" "$dir"

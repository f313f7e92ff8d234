#!/usr/bin/env bash
# Makes .tools/python: a virtual environment with the tools that come as Python
# packages. moto is the stand-in of SQS that tests start, awscli the AWS CLI that
# drives them, cfn-lint checks the CloudFormation template. Versions and checksums
# are pinned in tools/python/requirements.txt.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/apt.sh

requirements=tools/python/requirements.txt
dir=.tools/python
oldest=3.10

# What has been installed is told by a copy of its pins.
if cmp -s "$requirements" "$dir/requirements.txt"; then
	exit 0
fi

usable() {
	python3 -c "import sys, venv, ensurepip; sys.exit(sys.version_info < tuple(map(int, '$oldest'.split('.'))))" 2>/dev/null
}

stop() {
	echo "tools/python.sh: $1" >&2
	echo "tools/python.sh: the tests need Python $oldest or later with its modules venv and ensurepip: install them yourself, so that python3 is on PATH" >&2
	exit 1
}

if ! usable; then
	apt_rights "python3 of version $oldest with venv"
	apt_install python3 python3-venv
	usable || stop "apt-get has installed python3, but it is too old or lacks venv"
fi

# Scripts of a virtual environment hold its path, so it is made in place; the copy
# of the pins comes last.
rm -rf "$dir"
mkdir -p .tools
python3 -m venv "$dir"
if ! "$dir/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --requirement "$requirements" >&2; then
	stop "pip could not install what $requirements pins"
fi
cp "$requirements" "$dir/requirements.txt"

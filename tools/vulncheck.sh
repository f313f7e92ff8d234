#!/usr/bin/env bash
# Checks the code and all that it depends on against the Go vulnerability database, with
# the govulncheck that tools/go.mod pins. Without the database nothing is checked, and
# this fails and says so. GOVULNDB names another copy of it, such as file:///srv/vulndb.
set -euo pipefail
cd "$(dirname "$0")/.."

unchecked() {
	echo "tools/vulncheck.sh: NOTHING WAS CHECKED in $1: $2" >&2
	echo "tools/vulncheck.sh: the database is at https://vuln.go.dev; where that can't be reached, set GOVULNDB to a copy, as file:///DIR" >&2
	exit 2
}

checked=
for module in . deploy/cdk deploy/compare; do
	tools=$PWD/tools/go.mod
	status=0
	out=$(cd "$module" && go tool -modfile="$tools" govulncheck ${GOVULNDB:+-db="$GOVULNDB"} ./... 2>&1) || status=$?
	echo "$out"
	case $status in
	0) ;;
	3) echo "tools/vulncheck.sh: $module is vulnerable" >&2; exit 3 ;;
	*) unchecked "$module" "govulncheck ended with $status" ;;
	esac
	case $out in
	*"fetching vulnerabilities"* | *"no such host"*) unchecked "$module" "the database can't be read" ;;
	*"No vulnerabilities found"*) checked="$checked $module" ;;
	*) unchecked "$module" "govulncheck said neither that it found something nor that it did not" ;;
	esac
done
echo "tools/vulncheck.sh: checked:$checked"

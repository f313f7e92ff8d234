#!/usr/bin/env bash
# Installs the database servers that tests start: PostgreSQL and MariaDB, as Debian
# packages them. Tests run servers of their own, so none is left running here, and
# those installed here don't start with the machine either.
set -euo pipefail
. "$(dirname "$0")/apt.sh"

declare -A package=([PostgreSQL]=postgresql [MariaDB]=mariadb-server)
declare -A program=([PostgreSQL]=postgres [MariaDB]=mariadbd)
declare -A oldest=([PostgreSQL]=13 [MariaDB]=10)

# major prints the major version of a server, or fails where there is none. What
# it looks through is where sqltest looks.
major() {
	local path
	path=$(command -v "${program[$1]}" || ls -d "/usr/lib/postgresql/"*"/bin/${program[$1]}" "/usr/sbin/${program[$1]}" 2>/dev/null | tail -n 1)
	[ -n "$path" ] && "$path" --version | sed -E 's/^[^0-9]*(Ver )?([0-9]+).*/\2/'
}

stop() {
	echo "tools/servers.sh: $1" >&2
	echo "tools/servers.sh: the tests need PostgreSQL ${oldest[PostgreSQL]} or later and MariaDB ${oldest[MariaDB]} or later: install them yourself, so that initdb, postgres, mariadb-install-db and mariadbd are on PATH" >&2
	exit 1
}

missing=()
for server in PostgreSQL MariaDB; do
	if ! version=$(major "$server"); then
		missing+=("$server")
	elif [ "$version" -lt "${oldest[$server]}" ]; then
		stop "$server is installed in version $version, which is too old"
	fi
done
if [ ${#missing[@]} -eq 0 ]; then
	exit 0
fi

apt_rights "${missing[*]}"

packages=()
for server in "${missing[@]}"; do
	packages+=("${package[$server]}")
done

# Packages ask this program whether they may start what they have installed.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap '"${root[@]}" rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy" >/dev/null
	"${root[@]}" chmod 755 "$policy"
fi

apt_install "${packages[@]}"

if [ -d /run/systemd/system ]; then
	for server in "${missing[@]}"; do
		"${root[@]}" systemctl disable --now "${package[$server]%-server}" >&2
	done
fi

for server in "${missing[@]}"; do
	version=$(major "$server") || stop "apt-get has installed ${package[$server]}, but ${program[$server]} is not there"
	[ "$version" -ge "${oldest[$server]}" ] || stop "apt-get has installed $server in version $version, which is too old"
done

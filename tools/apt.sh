# Sourced by the scripts that install packages of Debian and its kin. It wants a
# function stop, which says what is wrong and what to do about it, and ends the script.

root=() # what goes before a command that needs the rights of root

# apt_rights finds out whether packages can be installed here. $1 is what was not found.
apt_rights() {
	if ! command -v apt-get >/dev/null; then
		stop "$1 not found, and this is not Debian or a kin of it: there is no apt-get"
	fi
	if [ "$(id -u)" -ne 0 ]; then
		if ! command -v sudo >/dev/null || ! sudo true; then
			stop "$1 not found, and installing takes root or sudo"
		fi
		root=(sudo)
	fi
}

apt_try() {
	"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >&2
}

# apt_install installs the packages that it is given, after apt_rights. The lists of
# packages may be old or not there at all, so they are fetched where it fails.
apt_install() {
	if ! apt_try "$@" && ! { "${root[@]}" apt-get update >&2 && apt_try "$@"; }; then
		stop "apt-get could not install $*"
	fi
}

# SPDX-License-Identifier: BSD-2-Clause
# Where the machine's own apt finds Debian's archive, and the keys that its signatures are checked
# with. Sourced by the scripts in this directory that download.
# shellcheck shell=bash

KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# archive_uri SUITE: the archive that should have this suite; empty if apt knows of none.
archive_uri()
{
	case $1 in
	*-security)
		archive_guess "${SONDA_DEBIAN_SECURITY:-}" '-security$'
		;;
	*)
		archive_guess "${SONDA_DEBIAN_ARCHIVE:-}" '^[a-z]+$'
		;;
	esac
}

# archive_guess URI CODENAME_PATTERN: the URI if given, else that of Debian's own source in apt.
archive_guess()
{
	if [ -n "$1" ]; then
		printf '%s\n' "$1"
		return
	fi
	# shellcheck disable=SC2016 # apt's own placeholders
	apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(ORIGIN)' 'Created-By: Packages' |
		awk -v pattern="$2" '$3 == "Debian" && $2 ~ pattern && !seen++ { print $1 }'
}

# keyring DIR: Debian's keyring from the machine, or one that apt downloads into DIR and checks.
keyring()
{
	if [ -s "$KEYRING" ]; then
		printf '%s\n' "$KEYRING"
		return
	fi
	(cd "$1" && apt-get -q download debian-archive-keyring >&2 &&
		dpkg -x debian-archive-keyring_*.deb keyring) &&
		printf '%s\n' "$1/keyring$KEYRING"
}

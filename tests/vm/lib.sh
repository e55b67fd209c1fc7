# SPDX-License-Identifier: BSD-2-Clause
# Shared by the scripts in this directory: where kernels are cached, how the list is read, how
# a script ends with a message. Sourced by bash scripts that run from anywhere.
# shellcheck shell=bash

VM_DIR=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
VM_CACHE=${SONDA_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/sonda}
# The system's own programs first: what -p copies into a guest must not be somebody's wrapper.
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH

# die CODE TEXT...: says why on stderr and ends the script.
die()
{
	local code=$1

	shift
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit "$code"
}

# need COMMAND...: ends the script with 126 unless every command is there.
need()
{
	local command

	for command; do
		command -v "$command" >/dev/null ||
			die 126 "'$command' is missing: run tools/setup --test"
	done
}

# kernel_rows: the list as lines "name suites package".
kernel_rows()
{
	sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$VM_DIR/kernels"
}

kernel_names()
{
	kernel_rows | awk '{ print $1 }'
}

# kernel_dir NAME: where the unpacked kernel is, or will be.
kernel_dir()
{
	printf '%s\n' "$VM_CACHE/kernels/$1"
}

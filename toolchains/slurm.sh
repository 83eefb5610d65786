#!/bin/sh
# Unpacks Debian's Slurm, and the libraries of it that this machine lacks, into a folder; installs
# nothing and needs no root.
set -eu
command -v apt-get >/dev/null && command -v dpkg >/dev/null || {
	echo "Slurm is unpacked from Debian's packages, and this system has no apt-get and dpkg" >&2; exit 1
}
[ ! -e "$1" ] || [ -d "$1/packages" ] || [ -d "$1/usr/sbin" ] || [ -z "$(ls -A "$1")" ] || {
	echo "$1 holds something else than an unpacked Slurm: choose another folder" >&2; exit 1
}
rm -rf "$1" && mkdir -p "$1/packages" && cd "$1/packages"
packages=$(apt-get --simulate --no-install-recommends install slurmctld slurmd slurm-client \
	| sed -n 's/^Inst \([^ ]*\).*/\1/p')
[ -n "$packages" ] || { echo "Slurm is installed on this system: use that one" >&2; exit 1; }
apt-get --option APT::Sandbox::User=root download --quiet --quiet $packages
for package in *.deb; do dpkg --extract "$package" ..; done
cd .. && rm -r packages

#!/bin/sh
# Unpacks Debian's C xenstored and oxenstored into DIR and builds the stand-in library that lets them run without Xen. Nothing is installed.
#   prepare.sh DIR
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1/debs"
cd "$1"
[ -e ready ] && exit 0
packages="xen-utils-4.17 libxenstore4 libxentoolcore1 libxentoollog1 libxen-dev libxenevtchn1 libxengnttab1 libxenmisc4.17 libxencall1
  libxenforeignmemory1 libxendevicemodel1 libxenhypfs1 xen-utils-common"
# shellcheck disable=SC2086 # a list
(cd debs && apt-get -qq -o APT::Sandbox::User=root download $packages) ||
  { echo "prepare.sh: cannot download Xen's daemons: run 'apt-get update' first" >&2; exit 1; }
for package in debs/*.deb; do dpkg -x "$package" root; done
cc -O2 -w -fPIC -shared -Iroot/usr/include -o xenshim.so "$here/xenshim.c" -ldl
touch ready

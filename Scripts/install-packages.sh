#!/bin/bash
# Installs the Debian packages that a job needs and that are missing; nothing when all are there.
# Usage: install-packages.sh build|test|test-xen|demo|bench ...
# As root it installs; otherwise it says what to install and fails.
set -euo pipefail

packages_of() {
  case $1 in
    # What the compiler and the linker need.
    build) echo liburing-dev pkg-config gcc libc6-dev ;;
    # Xen's headers and store tools, NBD clients, the model checker, tools that tests run.
    test) echo "$(packages_of build)" libxen-dev linux-libc-dev xenstore-utils python3 python3-pip qemu-utils libnbd-bin fio spin e2fsprogs jq procps iproute2 iputils-ping qemu-system-x86 diod ;;
    demo) echo "$(packages_of build)" xenstore-utils qemu-utils libnbd-bin fio e2fsprogs jq procps bsdextrautils iproute2 iputils-ping iperf3 python3 ;;
    # What boots a Xen host in QEMU, and the programs that its domains get from here.
    test-xen) echo qemu-system-x86 libxen-dev cpio binutils xz-utils python3 iperf3 e2fsprogs ;;
    # Peers to compare with.
    bench) echo "$(packages_of build)" libxen-dev fio qemu-utils qemu-system-common jq dpdk iperf3 iproute2 iputils-ping ;;
    *) echo "usage: install-packages.sh build|test|test-xen|demo|bench ..." >&2; exit 2 ;;
  esac
}

[ $# -gt 0 ] || { echo "usage: install-packages.sh build|test|test-xen|demo|bench ..." >&2; exit 2; }
wanted=
for job in "$@"; do wanted+=" $(packages_of "$job")"; done

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  echo "install-packages: this is no Debian system; make sure that there is what these packages hold:$wanted" >&2
  exit 0
fi

missing=()
for package in $(printf '%s\n' $wanted | sort -u); do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q ' installed$' || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ]; then
  echo "install-packages: missing packages. As root: apt-get install ${missing[*]}" >&2
  exit 1
fi
echo "Installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null

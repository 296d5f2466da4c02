#!/bin/bash
# Runs cases on a real Xen host in QEMU: Tests/Xen/run.sh [CASE...], all when none is named. Needs dist/pvio (make dist).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cases=("$@")
[ ${#cases[@]} -gt 0 ] || cases=(smoke conformance block net restart xl vchan compare)
[ -x "$root/dist/pvio" ] || { echo "dist/pvio is missing: make dist" >&2; exit 1; }
"$here/xenlab" build >"$root/.build/xenlab-build.log" 2>&1 || { tail -n 20 "$root/.build/xenlab-build.log" >&2; exit 1; }

# What goes into domain 0 besides the system: the command, the C library's parts that it takes from the host, and the cases.
extra=$(mktemp -d)
trap 'rm -rf "$extra" "$extra.share"' EXIT
mkdir -p "$extra"/bin "$extra"/lib/x86_64-linux-gnu "$extra"/xenlab
install -m 755 "$root/dist/pvio" "$root/Packaging/xen/block-pvio" "$extra/bin/"
# Xen's own vchan library, for the other end of our pipes.
cc -O2 -Wall -Werror -o "$extra/bin/vchan-peer" "$here/vchan/peer.c" -lxenvchan
libraries() { ldd "$1" | sed -nE 's/^[^/]*(\/[^ ]+) \(0x.*/\1/p'; }
for program in pvio vchan-peer; do
  libraries "$extra/bin/$program" | while read -r library; do
    case $library in */libc.so.6 | */ld-linux*) ;; *) cp -L "$library" "$extra/lib/x86_64-linux-gnu/" ;; esac
  done
done
cp -r "$here/cases" "$extra/xenlab/"

# The platform's tests, as this machine runs them: too large for domain 0's memory, so they are shared with it.
share=()
if [[ " ${cases[*]} " == *" conformance "* ]]; then
  mkdir -p "$extra.share/lib"
  cp "$root"/.build/debug/*PackageTests.xctest "$extra.share/tests"
  libraries "$extra.share/tests" | while read -r library; do cp -L "$library" "$extra.share/lib/"; done
  share=(--share "$extra.share")
fi

# Images are files in domain 0's memory, of which its root file system takes at most half.
export XENLAB_DOM0MEM=${XENLAB_DOM0MEM:-1792M}

failed=()
for case in "${cases[@]}"; do
  echo "=== $case"
  start=$SECONDS
  # A guest of its own processor beside domain 0's: the two ends run at the same time.
  if "$here/xenlab" run --timeout "${PVIO_XEN_TIMEOUT:-900}" --smp 2 --mem 3584 "${share[@]}" --dom0-extra "$extra" --script "$here/cases/$case.sh" \
    --console "$root/.build/xen-$case.log"; then
    echo "=== $case: passed in $((SECONDS - start)) s"
  else
    echo "=== $case: FAILED after $((SECONDS - start)) s; the consoles of Xen and domain 0 are in .build/xen-$case.log"
    failed+=("$case")
  fi
done
[ ${#failed[@]} -eq 0 ] || { echo "failed: ${failed[*]}" >&2; exit 1; }

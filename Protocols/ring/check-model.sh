#!/bin/sh
# Checks notify.pml with spin: the protocol as we follow it must hold, and each variant with one ingredient taken out must fail.
# Usage: check-model.sh      Needs: spin, cc. Exit 0 when everything came out as it must.
set -eu
model=$(cd "$(dirname "$0")" && pwd)/notify.pml
command -v spin >/dev/null || { echo "check-model: spin is missing: apt-get install spin" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# verify NAME EXPECTATION PAN-OPTIONS [DEFINES...]: EXPECTATION is "holds" or "fails".
verify() {
  name=$1 expectation=$2 options=$3
  shift 3
  mkdir "$name"
  cd "$name"
  spin "$@" -a "$model" >spin.log || { cat spin.log >&2; exit 1; }
  compile=""
  case $options in *-a*) ;; *) compile="-DSAFETY -DNOCLAIM" ;; esac
  cc -O2 -w -DMEMLIM=2048 -DVECTORSZ=1024 -DNFAIR=3 $compile -o pan pan.c
  ./pan $options -m1000000 >pan.log 2>&1 || true
  # A search that was cut short proves nothing.
  if grep -q -e 'max search depth too small' -e 'out of memory' -e 'Search not completed' pan.log && ! grep -q 'errors: [1-9]' pan.log; then
    echo "check-model: $name: the search was not completed" >&2
    cat pan.log >&2
    exit 1
  fi
  case $(grep -o 'errors: [0-9]*' pan.log || echo none) in
    'errors: 0') result=holds ;;
    'errors: '*) result=fails ;;
    *) cat pan.log >&2; exit 1 ;;
  esac
  states=$(awk '/states, stored/ {print $1; exit}' pan.log)
  reason=$(sed -n 's/^pan:[0-9]*: //p' pan.log | head -n 1)
  printf '%-28s %-6s %10s states  %s\n' "$name" "$result" "$states" "$reason"
  if [ "$result" != "$expectation" ]; then
    echo "check-model: $name $result, but must be: $expectation" >&2
    cat pan.log >&2
    exit 1
  fi
  cd ..
}

verify no-lost-wake-up holds ""
verify every-response-arrives holds "-a -f"
verify not-all-without-recheck fails "-a -f" -DBROKEN_RECHECK
verify without-publish-fence fails "" -DBROKEN_PUBLISH_FENCE
verify without-arm-fence fails "" -DBROKEN_ARM_FENCE
verify without-recheck fails "" -DBROKEN_RECHECK
verify without-release fails "" -DBROKEN_RELEASE

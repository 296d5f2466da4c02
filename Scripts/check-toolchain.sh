#!/bin/bash
# Says plainly what is missing to build: Linux, Swift 6.2 or newer, git. Exit 0 when everything is there.
set -euo pipefail

fail() { echo "check-toolchain: $1" >&2; exit 1; }

[ "$(uname -s)" = Linux ] || fail "pvio runs on Linux only (6.1 or newer), this is $(uname -s)"
command -v git >/dev/null || fail "git is missing; the Swift package manager needs it"
command -v swift >/dev/null || fail "swift is missing: install Swift 6.2 or newer (https://www.swift.org/install/linux/) and put it on PATH"

version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p' | head -n 1)
[ -n "$version" ] || fail "'swift --version' does not say a version; is the toolchain complete?"
[ "$(printf '%s\n' 6.2 "$version" | sort -V | head -n 1)" = 6.2 ] || fail "Swift $version is too old; pvio needs 6.2 or newer"

kernel=$(uname -r)
[ "$(printf '%s\n' 6.1 "$kernel" | sort -V | head -n 1)" = 6.1 ] || echo "check-toolchain: Linux $kernel is older than 6.1: io_uring works, more slowly" >&2
echo "Swift $version, Linux $kernel, $(nproc) processors"

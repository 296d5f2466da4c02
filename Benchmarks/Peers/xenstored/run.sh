#!/bin/sh
# Becomes one of Xen's daemons, on RUNDIR/socket, without Xen. DIR is what prepare.sh made; both are absolute.
#   run.sh cxenstored|oxenstored DIR RUNDIR
set -eu
kind=$1 dir=$2 run=$3
mkdir -p "$run"
printf 1 >"$run/xsd_port"
truncate -s 4096 "$run/xsd_kva"
export LD_LIBRARY_PATH="$dir/root/usr/lib/x86_64-linux-gnu" XENSTORED_RUNDIR="$run" XENSHIM_DIR="$run"
bin=$dir/root/usr/lib/xen-4.17/bin
case $kind in
  cxenstored)
    LD_PRELOAD="$dir/xenshim.so" exec "$bin/xenstored" --no-fork --internal-db >"$run/log" 2>&1 </dev/null
    ;;
  oxenstored)
    sed -e "s|^pid-file.*|pid-file = $run/pid|; s|^xenstored-kva.*|xenstored-kva = $run/xsd_kva|; s|^xenstored-port.*|xenstored-port = $run/xsd_port|" \
      "$dir/root/etc/xen/oxenstored.conf" >"$run/oxenstored.conf"
    printf 'xenstored-log-file = %s/oxlog\naccess-log-file = %s/oxaccess\n' "$run" "$run" >>"$run/oxenstored.conf"
    # The socket's directory is compiled in: it gets its own view of /run/xenstored.
    mkdir -p /run/xenstored
    export bin dir run
    # shellcheck disable=SC2016 # expanded by the inner shell
    exec unshare -m sh -c 'mount --make-rprivate / && mount --bind "$run" /run/xenstored &&
      LD_PRELOAD="$dir/xenshim.so" exec "$bin/oxenstored" --no-fork --no-access-log --config-file "$run/oxenstored.conf"' \
      >"$run/log" 2>&1 </dev/null
    ;;
  *) echo "run.sh: no daemon $kind" >&2; exit 2 ;;
esac

#!/bin/sh
# A real disturbance: reads and hashes large files of this machine for some seconds.
#
#   disturb.sh [SECONDS]    8; TERM ends it sooner, and all that it started
#
# Three loops for every core, so that it shows on a machine that is busy already. Two hash the same few
# files over and over: they are soon in the page cache, so that takes all of a core however slow the disk
# is. The third reads past the page cache, so the disk is read however often the files were read before.
seconds=${1:-8}
newline='
'
IFS=$newline
set -f
# shellcheck disable=SC2046
set -- $(find /usr/lib /usr/bin -xdev -type f -size +1M -printf '%s %p\n' | sort -rn | head -n 64 | cut -d ' ' -f 2-)
past=iflag=direct
dd if="$1" of=/dev/null bs=1M count=1 $past 2> /dev/null || past=iflag=nocache
export past

# The traps let each loop wait for the programs that are killed with it.
hash_cached='trap exit TERM; while :; do sha256sum "$1" "$2" "$3" "$4"; done'
hash_read='trap exit TERM; while :; do for file; do dd if="$file" bs=1M "$past" | sha256sum; done; done'

# Each loop is a process group of its own below its `timeout`, which hands a signal on to all of it.
loops=
trap 'IFS=" "; kill $loops; wait; exit 143' INT TERM
for core in $(seq "$(nproc)"); do
    for loop in "$hash_cached" "$hash_cached" "$hash_read"; do
        timeout "$seconds" sh -c "$loop" loop "$@" > /dev/null 2>&1 &
        loops="$loops $!"
    done
done
wait

#!/bin/sh
# A real disturbance: reads and hashes files of this machine for some seconds, on every core.
seconds=${1:-8}
for core in $(seq "$(nproc)"); do
    timeout "$seconds" sh -c 'while :; do find /usr/lib /usr/bin -type f -size +256k -exec sha256sum {} +; done' \
        > /dev/null 2>&1 &
done
wait

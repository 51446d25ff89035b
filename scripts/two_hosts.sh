#!/usr/bin/env bash
# Trains digits on two hosts of one process each, and compares with one process.
#
# The hosts are two network namespaces of this machine, joined by a veth pair: nothing but that cable connects them. torchrun's
# rendezvous (c10d) and gloo go over it. Needs root and iproute2; exits with 77 where they are missing, 1 where the results differ.
#
#   scripts/two_hosts.sh [FOLDER]     PYTHON=... chooses the Python, DISTRIBUTION=fsdp the other way of distributing
set -euo pipefail

python=${PYTHON:-python3}
distribution=${DISTRIBUTION:-ddp}
folder=${1:-$(mktemp -d)}
mkdir -p "$folder"
first=gradus-a-$$ second=gradus-b-$$
pids=()

clean_up() {
    for pid in "${pids[@]}"; do kill -KILL -- "-$pid" 2>/dev/null || true; done
    ip netns delete "$first" 2>/dev/null || true
    ip netns delete "$second" 2>/dev/null || true # the cable goes with its ends
}

skip() {
    echo "skipped: $1" >&2
    exit 77
}

command -v ip >/dev/null || skip "iproute2 is not installed"
trap clean_up EXIT
trap 'exit 143' TERM INT
ip netns add "$first" 2>/dev/null || skip "network namespaces are not allowed here"
ip netns add "$second" 2>/dev/null || skip "network namespaces are not allowed here"
ip link add "ga$$" type veth peer name "gb$$" 2>/dev/null || skip "veth pairs are not allowed here"
ip link set "ga$$" netns "$first"
ip link set "gb$$" netns "$second"
ip netns exec "$first" ip address add 10.77.0.1/24 dev "ga$$"
ip netns exec "$second" ip address add 10.77.0.2/24 dev "gb$$"
for side in "$first ga$$" "$second gb$$"; do
    read -r namespace interface <<<"$side"
    ip netns exec "$namespace" ip link set lo up
    ip netns exec "$namespace" ip link set "$interface" up
done

train=(train digits-lenet5 --device cpu --epochs 2 --batch-size 32 --set "train.distribution=$distribution")
on_host() { # namespace, its network interface, its address, whether it keeps the rendezvous. The port is free: nothing else runs in a new namespace
    setsid ip netns exec "$1" env OMP_NUM_THREADS=1 GLOO_SOCKET_IFNAME="$2" "$python" -m torch.distributed.run \
        --nnodes 2 --nproc-per-node 1 --rdzv-backend c10d --rdzv-endpoint 10.77.0.1:29400 --rdzv-id two-hosts \
        --rdzv-conf "is_host=$4" --local-addr "$3" -m gradus "${train[@]}" --out "$folder/two" >"$folder/$2.log" 2>&1 &
    pids+=($!)
}
on_host "$first" "ga$$" 10.77.0.1 true
on_host "$second" "gb$$" 10.77.0.2 false
for pid in "${pids[@]}"; do
    if ! wait "$pid"; then
        tail -n 30 "$folder"/*.log >&2
        exit 1
    fi
done

OMP_NUM_THREADS=1 "$python" -m gradus "${train[@]}" --out "$folder/one" >"$folder/one.log" 2>&1
"$python" - "$folder" <<'END'
import json
import sys
from pathlib import Path

folder = Path(sys.argv[1])
one, two = ([json.loads(line) for line in (folder / run / "metrics.jsonl").read_text().splitlines()] for run in ("one", "two"))
processes = json.loads((folder / "two" / "environment.json").read_text())["processes"]
losses = [(a[name], b[name]) for a, b in zip(one, two, strict=True) for name in ("train_loss", "validation_loss")]
largest = max(abs(a - b) / a for a, b in losses)
print(f"{processes} processes on two hosts against one: losses differ by at most {largest:.1e} of themselves")
sys.exit(not (processes == 2 and len(one) == 2 and largest < 1e-4))
END

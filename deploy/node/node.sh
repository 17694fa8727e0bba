#!/usr/bin/env bash
# Starts one Kubernetes node in namespaces of its own, runs COMMAND on it, and ends all of it with COMMAND, however that ends:
#
#   node.sh [--image FILE.tar]... [--forward NAME=PORT:ADDRESS]... STATE COMMAND...
#
# STATE is a folder that is made anew: it has the logs and all that the node writes. Each FILE.tar is an archive of images; one
# must have localhost/pause:1. --forward opens 127.0.0.1:PORT of this machine, or the next free port, as a way to ADDRESS
# of the node; the port is in STATE/ports/NAME. COMMAND runs inside the namespaces, once the node is Ready, with KUBECONFIG set and the
# node's programs in PATH. From outside, STATE/pid is the process whose namespaces `nsenter --all --target` enters.
#
# KUBERNETES is the version (install.sh), KUBELET_FLAGS more flags for kubelet. The exit code is COMMAND's, or 1 if the node does not come up.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=deploy/node/settings.sh
. "$here/settings.sh"

images=() forwards=()
while [ $# -gt 0 ]; do
    case $1 in
        --image) images+=("$(realpath "$2")"); shift 2 ;;
        --forward) forwards+=("$2"); shift 2 ;;
        *) break ;;
    esac
done
[ $# -ge 2 ] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2; }
state=$1
shift
[ -x "$PROGRAMS/kubelet" ] || { echo "there are no programs of Kubernetes $KUBERNETES: run $here/install.sh" >&2; exit 1; }

# A folder of an earlier node, and nothing else, may be removed.
if [ -e "$state" ] && [ ! -e "$state/node" ]; then
    echo "$state exists and is not an earlier node's: give another folder" >&2
    exit 1
fi
rm -rf "$state"
mkdir -p "$state"
chmod 0700 "$state"
mkdir "$state/ports" "$state/logs"
touch "$state/node"
state=$(realpath "$state")

# Control groups of the node's own, in each hierarchy: kubelet removes every group below its root that it does not know.
cgroup=metagate-node-$$
hierarchies() { awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/mounts; }
remove_cgroups() {
    local folder
    for folder in $(hierarchies); do
        find "$folder/$1" -depth -type d -exec rmdir {} + 2>/dev/null || true
    done
}
# Of nodes that were killed together with this script.
for folder in $(hierarchies); do
    for left in "$folder"/metagate-node-*; do
        [ ! -d "$left" ] || [ -d "/proc/${left##*-}" ] || remove_cgroups "${left##*/}"
    done
done
for folder in $(hierarchies); do
    mkdir "$folder/$cgroup"
    # A new group of this kind has no processor and no memory until it is given some.
    for file in cpuset.cpus cpuset.mems; do
        [ ! -e "$folder/$cgroup/$file" ] || cat "$folder/$file" >"$folder/$cgroup/$file" 2>/dev/null || true
    done
done
enter() {
    local folder
    for folder in $(hierarchies); do
        echo "$BASHPID" >"$folder/$cgroup/cgroup.procs"
    done
}

# Everything below ends with this script, even if it is killed: --pdeathsig ends unshare, --kill-child the first process of the
# namespaces, and the kernel the others. A shell has its background jobs ignore Ctrl-C and gives them no input: both are undone.
(
    enter
    exec env --default-signal=INT setpriv --pdeathsig KILL unshare --mount --net --pid --uts --cgroup --mount-proc --fork --kill-child \
        "$here/inside.sh" "$state" "$PROGRAMS" "$PLUGINS" "${#images[@]}" "${images[@]}" "$@"
) <&0 &
node=$!
forwarders=()
# shellcheck disable=SC2329 # trap calls it.
finish() {
    local forwarder
    for forwarder in "${forwarders[@]}"; do
        kill "$forwarder" 2>/dev/null || true
    done
    kill -KILL "$node" 2>/dev/null || true
    wait "$node" 2>/dev/null || true
    # The last processes of the namespaces may take a moment to leave their groups.
    for _ in $(seq 50); do
        remove_cgroups "$cgroup"
        local left=
        for folder in $(hierarchies); do [ ! -d "$folder/$cgroup" ] || left=1; done
        [ -n "$left" ] || break
        sleep 0.1
    done
}
trap finish EXIT
# Ctrl-C is for COMMAND, which has the terminal: its end is what ends the node.
trap '' INT
trap 'exit 143' TERM HUP

# The first process of the namespaces, by the number that this machine knows it by.
first() { cat "/proc/$node/task/$node/children" 2>/dev/null | tr -d ' '; }
until [ -n "$(first)" ] && [ -e "$state/entered" ]; do
    kill -0 "$node" 2>/dev/null || break
    sleep 0.05
done
first >"$state/pid"

free() { ! (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
for forward in "${forwards[@]}"; do
    name=${forward%%=*} rest=${forward#*=}
    port=${rest%%:*} address=${rest#*:}
    until free "$port"; do port=$((port + 1)); done
    setpriv --pdeathsig KILL socat "TCP4-LISTEN:$port,bind=127.0.0.1,reuseaddr,backlog=64,fork" \
        "EXEC:nsenter --target $(cat "$state/pid") --net socat - TCP4\\:${address/:/\\:}" >>"$state/logs/forward.log" 2>&1 &
    forwarders+=($!)
    echo "$port" >"$state/ports/$name"
done
touch "$state/forwarded"

status=0
wait "$node" || status=$?
exit "$status"

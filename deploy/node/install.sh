#!/usr/bin/env bash
# Installs what the node needs, and prints where its programs are:
#
#   install.sh
#
# Kubernetes, etcd, containerd and Helm are built from their Go modules, once, into the cache. go.mod names the versions;
# KUBERNETES=1.36.3 builds another version of Kubernetes beside it. runc and the network plugins are Debian's packages.
# Building takes 13 minutes of processor time and 10 GB for Go's caches, and `go clean -cache -modcache` frees those.
#
# Exits with 0 if everything is there, with 3 if this machine cannot have it (not root, no namespaces, no Go, no apt), and
# with another code if it should have worked and did not.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=deploy/node/settings.sh
. "$here/settings.sh"
CANNOT=3

say() { printf '==> %s\n' "$*" >&2; }

fail() {
    printf '%s\n' "$@" >&2
    exit 1
}

cannot() {
    {
        printf '\n!!! NO NODE CAN RUN ON THIS MACHINE, AND WHAT NEEDS ONE IS SKIPPED\n'
        printf '!!! %s\n' "$@"
        printf '\n'
    } >&2
    exit "$CANNOT"
}

has() { command -v "$1" >/dev/null; }

install_packages() {
    local program missing=()
    for program in ip:iproute2 nft:nftables sysctl:procps curl:curl openssl:openssl socat:socat setpriv:util-linux runc:runc \
        buildah:buildah readelf:binutils "$PLUGINS/bridge:containernetworking-plugins"; do
        has "${program%:*}" || missing+=("${program##*:}")
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    has apt-get || cannot "Missing, by the names of Debian's packages: ${missing[*]}; and there is no apt-get."
    say "installing ${missing[*]}"
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -o DPkg::Lock::Timeout=300 -qq --yes --no-install-recommends "${missing[@]}" >/dev/null
}

# The sources; for another version, go.mod with that version throughout, and without the versions that Go chose for this one
# (`// indirect`). Its sums are then those of Go's checksum database. etcd and Helm do not build with the libraries of every
# version.
sources() {
    rm -rf "$1"
    mkdir -p "$1"
    cp -r "$here/go.mod" "$here/go.sum" "$here/containers" "$here/pause" "$1"
    [ "$KUBERNETES" != "$DEFAULT" ] || return 0
    sed -i -E '/ \/\/ indirect$/{/k8s\.io\/kubernetes /!d}; /helm\.sh\/helm|\/etcd\/server/d' "$1/go.mod"
    sed -i "s|\(k8s.io/kubernetes \)v$DEFAULT|\1v$KUBERNETES|; s|\( k8s.io/.* \)v0.${DEFAULT#1.}\$|\1v0.${KUBERNETES#1.}|" "$1/go.mod"
    # A library that Kubernetes had until 1.30.
    go mod edit "-replace=k8s.io/legacy-cloud-providers=k8s.io/legacy-cloud-providers@v0.${KUBERNETES#1.}" "$1/go.mod"
    rm "$1/go.sum"
    (cd "$1" && nice go mod tidy) >"$1/tidy.log" 2>&1 || { tail -n 20 "$1/tidy.log" >&2; fail "go.mod cannot be had for Kubernetes $KUBERNETES"; }
}

# build TITLE FLAGS... -- PACKAGES...: with `-v` Go prints a line for each package that it compiles.
build() {
    local title=$1 flags=() log total
    shift
    while [ "$1" != -- ]; do flags+=("$1"); shift; done
    shift
    total=$(go list "${flags[@]}" -deps "$@" | wc -l)
    say "$title: building at most $total packages"
    log=$(mktemp)
    CGO_ENABLED=0 nice go build -v -trimpath "${flags[@]}" -o "$PROGRAMS.new/" "$@" 2>&1 | tee "$log" |
        awk -v title="$title" 'NR % 250 == 0 { printf "    %s: %d packages\n", title, NR; fflush() }' >&2 || {
            tail -n 40 "$log" >&2
            rm -f "$log"
            fail "$title does not build"
        }
    rm -f "$log"
}

build_programs() {
    local stamp
    stamp=$(cd "$here" && cat go.mod go.sum containers/go.mod containers/go.sum pause/main.go | sha256sum)
    [ "$(cat "$PROGRAMS/built-from" 2>/dev/null)" != "$stamp" ] || return 0
    has go || cannot 'There is no Go, which builds Kubernetes, etcd and containerd.'
    # go.mod's `tool` lines came with Go 1.24, and Go from 1.21 fetches the version that go.mod asks for.
    [ "$(printf '%s\n' go1.21 "$(go env GOVERSION)" | sort -V | head -n 1)" = go1.21 ] ||
        cannot "Go is $(go env GOVERSION), and Kubernetes $KUBERNETES is built with 1.21 or newer."
    say "Kubernetes $KUBERNETES, etcd, containerd and Helm: building, which takes 7 minutes on two cores and happens once"
    rm -rf "$PROGRAMS.new"
    mkdir -p "$PROGRAMS.new"
    sources "$PROGRAMS.src"
    (cd "$PROGRAMS.src/containers" && build containerd -tags='no_btrfs no_devmapper no_zfs' -ldflags='-s -w' -- tool)
    (cd "$PROGRAMS.src" && build Kubernetes -ldflags="-s -w -X k8s.io/component-base/version.gitVersion=v$KUBERNETES" -- tool ./pause)
    [ "$KUBERNETES" = "$DEFAULT" ] ||
        (cd "$here" && build 'etcd and Helm' -ldflags='-s -w' -- go.etcd.io/etcd/server/v3 helm.sh/helm/v4/cmd/helm)
    # etcd's program has the name of its folder.
    mv "$PROGRAMS.new/server" "$PROGRAMS.new/etcd"
    echo "$stamp" >"$PROGRAMS.new/built-from"
    # Moved at the end, so that a folder in the cache is complete.
    rm -rf "$PROGRAMS" "$PROGRAMS.src"
    mv "$PROGRAMS.new" "$PROGRAMS"
}

main() {
    [ "$(uname -s)" = Linux ] || cannot 'It takes namespaces, which only Linux has.'
    [ "$(id -u)" -eq 0 ] || cannot 'It takes root, to make namespaces and network interfaces: run this as root.'
    unshare --mount --net --pid --uts --cgroup --mount-proc --fork --kill-child sh -c 'mount -t tmpfs none /mnt' 2>/dev/null ||
        cannot 'Namespaces cannot be made here.'
    grep -q overlay /proc/filesystems || modprobe overlay 2>/dev/null || cannot 'The kernel has no overlay file system.'
    install_packages
    # One build at a time: .ci/run begins one beside its first stages.
    mkdir -p "${PROGRAMS%/*}"
    exec 9>"$PROGRAMS.lock"
    flock --nonblock 9 || { say "another build of Kubernetes $KUBERNETES runs: waiting for it"; flock 9; }
    build_programs
    echo "$PROGRAMS"
}

main "$@"

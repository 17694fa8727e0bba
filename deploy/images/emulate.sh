#!/usr/bin/env bash
# Tries the images of another architecture under qemu's user emulation: the gateway walks its demo, and nft finds its
# libraries. It cannot run: qemu has none of nftables' sockets.
#
#   emulate.sh IMAGES.tar amd64|arm64
#
# Exits with 3 if there is no such image or this machine cannot emulate it, and with another code if something is wrong.
set -euo pipefail
archive=$1 architecture=$2
release=$(sed -n 's/^appVersion: *//p' "$(dirname "$0")/../chart/Chart.yaml")
# As for build.sh.
REPOSITORY=${REPOSITORY:-localhost/metagate}
VERSION=${VERSION:-$release}

say() { printf '==> %s\n' "$*"; }

cannot() {
    printf '\n!!! THE IMAGES FOR %s ARE NOT TRIED\n!!! %s\n\n' "$architecture" "$*"
    exit 3
}

fail() {
    printf '%s: %s\n' "$architecture" "$*" >&2
    exit 1
}

case $architecture in
    amd64) qemu='qemu-x86_64-static' ;;
    arm64) qemu='qemu-aarch64-static' ;;
    *) echo "no emulator for $architecture" >&2; exit 2 ;;
esac
[ "$(id -u)" -eq 0 ] || cannot 'Only root mounts an image.'
if ! command -v "$qemu" >/dev/null; then
    command -v apt-get >/dev/null || cannot "This machine has no $qemu, and no apt-get to install qemu-user-static."
    say 'installing qemu-user-static'
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends qemu-user-static >/dev/null
fi

[ -e "$archive" ] || cannot "There is no $archive."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tar --extract --to-stdout --file "$archive" | grep -ac "\"architecture\":\"$architecture\"" >/dev/null || cannot "$archive has none."
buildah() { nice buildah --storage-driver vfs --root "$work/store" --runroot "$work/run" "$@"; }

# emulated IMAGE PROGRAM ARGUMENTS...: runs it as the gateway's user with the image as the only file system, and a /proc.
emulated() {
    local root
    root=$(cat "$work/$1")
    # shellcheck disable=SC2016 # The inner shell expands them.
    nice timeout 300 unshare --mount --pid --fork --kill-child sh -ec \
        'mount -t proc proc "$1/proc"; shift; exec chroot --userspec=8181:8181 "$@"' sh "$root" "$root" /qemu "${@:2}"
}

for image in "$VERSION" "$VERSION-intercept"; do
    buildah from --quiet --arch "$architecture" --name "$image" "oci-archive:$archive:$REPOSITORY:$image" >/dev/null
    root=$(buildah mount "$image")
    echo "$root" >"$work/$image"
    # What a container runtime would add, and the emulator.
    mkdir -p "$root/proc"
    install --mode=0755 "$(command -v "$qemu")" "$root/qemu"
done

printed=$(emulated "$VERSION" /usr/local/bin/metagate --version)
[ "$printed" = "metagate $release" ] || fail "the program says \`$printed\`, not \`metagate $release\`"
say "$architecture: metagate check"
emulated "$VERSION" /usr/local/bin/metagate check
say "$architecture: metagate demo"
began=$SECONDS
emulated "$VERSION" /usr/local/bin/metagate demo || fail 'the demo ended with an error'
say "$architecture: the demo took $((SECONDS - began)) s under $qemu"
say "$architecture: the libraries of nft"
# What `ldd -r` asks the loader for: the libraries, and each symbol that none of them has.
linked=$(QEMU_SET_ENV=LD_TRACE_LOADED_OBJECTS=1,LD_BIND_NOW=1,LD_WARN=1 emulated "$VERSION-intercept" /usr/sbin/nft 2>&1)
echo "$linked"
! grep -q 'not found\|undefined symbol' <<<"$linked" || fail 'nft lacks a library'

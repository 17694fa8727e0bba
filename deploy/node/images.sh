#!/usr/bin/env bash
# Builds the node's own images, localhost/pause:1 and localhost/client:1, into one archive in OCI form:
#
#   images.sh PROGRAMS OUT.tar
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=deploy/images/debian.sh
. "$here/../images/debian.sh"
programs=$1 out=$2

case $(uname -m) in
    x86_64) architecture=amd64 ;;
    aarch64) architecture=arm64 ;;
    *) echo "no images for $(uname -m)" >&2; exit 3 ;;
esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
buildah() { nice buildah --storage-driver vfs --root "$work/store" --runroot "$work/run" "$@"; }

install -D --mode=0755 "$programs/pause" "$work/pause/pause"
debian_unpack "$architecture" "$work/debian" busybox curl
debian_copy "$work/debian" "$work/client" bin/busybox usr/bin/curl
install -D --mode=0755 "$here/ask.sh" "$work/client/usr/local/bin/ask"
for name in cat env grep head id ip ls nslookup ping ps sed sh sleep tr wc; do
    ln -s busybox "$work/client/bin/$name"
done
find "$work/pause" "$work/client" -type d -exec chmod 0755 {} +
for target in pause client; do
    buildah build --quiet --isolation chroot --timestamp 0 --identity-label=false --target "$target" --tag "$target" \
        --file "$here/Dockerfile" "$work" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
    buildah push --quiet "localhost/$target" "oci:$work/oci:localhost/$target:1" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
done
tar --create --file "$out.new" --directory "$work/oci" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner .
mv "$out.new" "$out"

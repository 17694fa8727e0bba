#!/usr/bin/env bash
# Builds the images of gateway and intercept, without a Docker engine, into one archive in OCI form:
#
#   build.sh BINARY... OUT.tar
#
# One BINARY per architecture: its ELF header says which. Libraries, CA roots and nft come from Debian's packages of that
# architecture. OUT.tar has two image indexes, REPOSITORY:VERSION and REPOSITORY:VERSION-intercept; the variables of these
# names override localhost/metagate and the chart's version. The same inputs give the same digests. A table of digests and sizes
# ends the output.
#
# Exits with 3 if this machine cannot build them (no apt, no buildah), and with another code if it should have worked.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=deploy/images/debian.sh
. "$here/debian.sh"

REPOSITORY=${REPOSITORY:-localhost/metagate}
VERSION=${VERSION:-$(sed -n 's/^appVersion: *//p' "$here/../chart/Chart.yaml")}
# Seconds since 1970 that every file and image is dated, so that two builds are the same.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-0}

say() { printf '==> %s\n' "$*"; }

cannot() {
    printf '\n!!! THE IMAGES ARE NOT BUILT: THIS MACHINE CANNOT\n!!! %s\n\n' "$*"
    exit 3
}

architecture() {
    case $(readelf --file-header "$1" 2>/dev/null | sed -n 's/^ *Machine: *//p') in
        *X86-64) echo amd64 ;;
        AArch64) echo arm64 ;;
        *) echo "$1 is no program for amd64 or arm64" >&2; return 1 ;;
    esac
}

require() {
    local program missing=()
    command -v apt-get >/dev/null || cannot 'it has no apt-get, and libraries and nft come from Debian packages.'
    for program in buildah:buildah readelf:binutils jq:jq; do
        command -v "${program%:*}" >/dev/null || missing+=("${program#*:}")
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    [ "$(id -u)" -eq 0 ] || cannot "missing, by the names of Debian's packages: ${missing[*]}. Install them, or run this as root."
    say "installing ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -o DPkg::Lock::Timeout=300 -qq --yes --no-install-recommends "${missing[@]}" >/dev/null
}

# The files of both images of one architecture, below FOLDER.
lay_out() {
    local binary=$1 architecture=$2 folder=$3 unpacked="$3/debian" image certificate
    say "$architecture: unpacking Debian's packages"
    # libc6 and libgcc-s1 are what a Rust binary is linked to; a static one takes nothing of them.
    debian_unpack "$architecture" "$unpacked" nftables ca-certificates libc6 libgcc-s1
    for image in gateway intercept; do
        install -D --mode=0755 "$binary" "$folder/$image/usr/local/bin/metagate"
        debian_link "$unpacked" "$folder/$image" "$binary"
        install -D --mode=0644 "$here/../../LICENSE" "$folder/$image/usr/share/doc/metagate/copyright"
    done
    # What update-ca-certificates does. SSL_CERT_FILE names other roots.
    mkdir -p "$folder/gateway/etc/ssl/certs"
    for certificate in "$unpacked"/usr/share/ca-certificates/mozilla/*.crt; do
        cat "$certificate"
    done >"$folder/gateway/etc/ssl/certs/ca-certificates.crt"
    debian_package "$unpacked" "$folder/gateway" usr/sbin/update-ca-certificates
    # glibc asks files, then DNS, as it would without this file; the file makes that plain.
    echo 'hosts: files dns' >"$folder/gateway/etc/nsswitch.conf"
    debian_copy "$unpacked" "$folder/intercept" usr/sbin/nft
    rm -rf "$unpacked"
    # Folders are not those of whoever builds, nor is their umask.
    find "$folder" -type d -exec chmod 0755 {} +
    # `metagate demo` puts its custom plugin there.
    install -d --mode=1777 "$folder/gateway/tmp"
}

# A line of the table: what a registry stores, what a node stores, and the digest of the image.
describe() {
    local target=$1 architecture=$2 index=$3 blobs="$work/oci/blobs/sha256" digest
    digest=$(jq --raw-output --arg architecture "$architecture" \
        '.manifests[] | select(.platform.architecture == $architecture).digest' "$blobs/${index#sha256:}")
    awk -v image="$target" -v architecture="$architecture" -v digest="$digest" \
        -v compressed="$(jq '[.layers[].size] | add' "$blobs/${digest#sha256:}")" \
        -v unpacked="$(find "$work/$architecture/$target" -type f -printf '%s\n' | awk '{ all += $1 } END { print all }')" \
        'BEGIN { printf "%-9s %-5s %s  %.1f MiB, unpacked %.1f MiB\n", image, architecture, digest, compressed / 2^20, unpacked / 2^20 }'
}

main() {
    [ $# -ge 2 ] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2; }
    local out=${!#} binaries=("${@:1:$#-1}") binary architecture target name table=''
    require
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    # A store of its own: no image of this machine changes, and no image of it is used.
    buildah() { nice buildah --storage-driver vfs --root "$work/store" --runroot "$work/run" "$@"; }

    for binary in "${binaries[@]}"; do
        architecture=$(architecture "$binary")
        lay_out "$binary" "$architecture" "$work/$architecture"
        for target in gateway intercept; do
            say "$architecture: building $target"
            buildah build --quiet --isolation chroot --timestamp "$SOURCE_DATE_EPOCH" --identity-label=false \
                --os linux --arch "$architecture" --target "$target" --tag "$target-$architecture" \
                --file "$here/Dockerfile" "$work/$architecture" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
        done
    done
    for target in gateway intercept; do
        name=$REPOSITORY:$VERSION
        [ "$target" = gateway ] || name+=-$target
        buildah manifest create "$target" >/dev/null
        for binary in "${binaries[@]}"; do
            architecture=$(architecture "$binary")
            buildah manifest add --os linux --arch "$architecture" "$target" "localhost/$target-$architecture" >/dev/null
        done
        buildah manifest push --quiet --all --digestfile "$work/index" "$target" "oci:$work/oci:$name" >"$work/log" 2>&1 ||
            { cat "$work/log" >&2; exit 1; }
        table+="$name $(cat "$work/index")"$'\n'
        for binary in "${binaries[@]}"; do
            table+="  $(describe "$target" "$(architecture "$binary")" "$(cat "$work/index")")"$'\n'
        done
    done
    # Moved at the end, so that an archive is complete.
    tar --create --file "$out.new" --directory "$work/oci" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 \
        --numeric-owner .
    mv "$out.new" "$out"
    say "$out"
    printf '%s' "$table"
}

main "$@"

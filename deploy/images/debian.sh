# shellcheck shell=bash
# Takes single programs out of Debian's packages, with the libraries that they are linked to, for any of Debian's
# architectures. Nothing is installed and the machine's own apt is not changed. To be sourced.

DEBIAN_CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/metagate/debian"

# apt with a state of its own, in which no package is installed and ARCHITECTURE is the only one. The package sources and
# their keys are those of this machine.
debian_apt() {
    local architecture=$1 cache="$DEBIAN_CACHE/$1"
    shift
    mkdir -p "$cache/lists/partial" "$cache/archives/partial"
    : >"$cache/status"
    nice apt-get -o "APT::Architecture=$architecture" -o "APT::Architectures=$architecture" -o APT::Sandbox::User=root \
        -o APT::Install-Recommends=false -o "Dir::State=$cache" -o "Dir::State::lists=$cache/lists" \
        -o "Dir::State::status=$cache/status" -o "Dir::Cache=$cache" -o Dir::Log=/dev/null "$@"
}

# debian_unpack ARCHITECTURE FOLDER PACKAGE...: the newest PACKAGEs, and all that they depend on, unpacked into FOLDER.
debian_unpack() {
    local architecture=$1 folder=$2 archive
    shift 2
    rm -rf "$DEBIAN_CACHE/$architecture/archives"
    debian_apt "$architecture" update -qq
    debian_apt "$architecture" install -qq --yes --download-only "$@" >/dev/null
    rm -rf "$folder"
    mkdir -p "$folder/control"
    for archive in "$DEBIAN_CACHE/$architecture"/archives/*.deb; do
        dpkg-deb --extract "$archive" "$folder"
        dpkg-deb --field "$archive" >"$folder/control/$(dpkg-deb --field "$archive" Package)"
        # Which file is from which package.
        dpkg-deb --fsys-tarfile "$archive" | tar -t | sed -n 's|^\./\(.*[^/]\)$|\1|p' |
            sed "s|^|$(dpkg-deb --field "$archive" Package) |" >>"$folder/control/.files"
    done
}

# What FILE asks for to be linked: its interpreter and the libraries.
debian_needs() {
    readelf --wide --program-headers --dynamic "$1" 2>/dev/null |
        sed -n 's/.*program interpreter: \(.*\)\]$/\1/p; s/.*(NEEDED).*\[\(.*\)\]$/\1/p'
}

# debian_copy UNPACKED IMAGE FILE...: copies each FILE (a path below UNPACKED) to the same path of IMAGE, and with it the
# libraries that it needs, and for scanners and lawyers the names and the licences of the packages that all of it is from.
debian_copy() {
    local unpacked=$1 image=$2 file
    shift 2
    for file in "$@"; do
        install -D --mode=0755 "$unpacked/$file" "$image/$file"
        debian_package "$unpacked" "$image" "$file"
        debian_link "$unpacked" "$image" "$image/$file"
    done
}

# debian_link UNPACKED IMAGE FILE: gives IMAGE the libraries that FILE, which may be of elsewhere, needs.
debian_link() {
    local unpacked=$1 image=$2 name found
    debian_needs "$3" | sort -u | while read -r name; do
        case $name in
            /*) found=${name#/} ;;
            # The interpreter, which libc names as a library too.
            ld-linux*) continue ;;
            *) found=$(cd "$unpacked" && find lib usr/lib -path "*-linux-gnu*/$name" -print -quit) ;;
        esac
        [ -n "$found" ] && [ -e "$unpacked/$found" ] || {
            echo "$3 needs $name, which no package has that was unpacked here" >&2
            return 1
        }
        [ ! -e "$image/$found" ] || continue
        install -D --mode=0755 "$(realpath "$unpacked/$found")" "$image/$found"
        debian_package "$unpacked" "$image" "$found"
        debian_link "$unpacked" "$image" "$image/$found"
    done
}

# Notes the package of a file in the image, as Debian's distroless images do.
debian_package() {
    local unpacked=$1 image=$2 file=$3 package
    package=$(awk -v file="$file" '$2 == file { print $1; exit }' "$unpacked/control/.files")
    [ -n "$package" ] || return 0
    install -D --mode=0644 "$unpacked/control/$package" "$image/var/lib/dpkg/status.d/$package"
    install -D --mode=0644 "$(realpath "$unpacked/usr/share/doc/$package/copyright")" "$image/usr/share/doc/$package/copyright"
}

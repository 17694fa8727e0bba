#!/usr/bin/env bash
# Builds the release for another architecture than this machine's, and prints where it is:
#
#   cross.sh amd64|arm64
#
# Debian's cross compiler links it, and compiles the C code of some crates. The built-in plugins are compiled for the
# architecture, too. cargo's lines go to standard error.
#
# Exits with 3 if this machine cannot do it, and with another code if it should have worked.
set -euo pipefail
cd "$(dirname "$0")/../.."
architecture=$1

say() { printf '==> %s\n' "$*" >&2; }

cannot() {
    printf '\n!!! THE PROGRAM FOR %s IS NOT BUILT: THIS MACHINE CANNOT\n!!! %s\n\n' "$architecture" "$*" >&2
    exit 3
}

case $architecture in
    amd64) machine=x86_64 package=x86-64 ;;
    arm64) machine=aarch64 package=aarch64 ;;
    *) echo "no release for $architecture" >&2; exit 2 ;;
esac
target=$machine-unknown-linux-gnu linker=$machine-linux-gnu-gcc

if ! command -v "$linker" >/dev/null; then
    packages=("gcc-$package-linux-gnu" "libc6-dev-$architecture-cross")
    command -v apt-get >/dev/null || cannot "it has no $linker, and no apt-get to install ${packages[*]}."
    [ "$(id -u)" -eq 0 ] || cannot "missing, by the names of Debian's packages: ${packages[*]}. Install them, or run this as root."
    say "installing ${packages[*]}"
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends "${packages[@]}" >/dev/null
fi
if [ ! -d "$(rustc --print target-libdir --target "$target")" ]; then
    command -v rustup >/dev/null || cannot "its Rust has no target $target, and there is no rustup to add it."
    say "adding the Rust target $target"
    rustup target add "$target" >&2
fi

say "building the release for $architecture (the first time takes minutes)"
variable=${target//-/_}
export "CARGO_TARGET_${variable^^}_LINKER=$linker"
# The feature adds to the build script alone: the program is of the same features as this machine's.
cargo build --release --locked --package metagate --bin metagate --target "$target" \
    --features metagate-plugin-artifacts/cross >&2
echo "target/$target/release/metagate"

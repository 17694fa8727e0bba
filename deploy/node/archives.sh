#!/usr/bin/env bash
# What a node is started with: installs its programs, and makes the archives of images FOLDER/node.tar, the node's own, and
# FOLDER/metagate.tar, those of BINARY. Each is made anew only when what it is made of has changed.
#
#   archives.sh BINARY FOLDER
#
# Exits with 3 if this machine cannot run a node.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
binary=$1 folder=$2

programs=$("$here/install.sh") || exit
mkdir -p "$folder"
# Of ARCHIVE FILES...: `fresh` tells whether the archive was made of these files as they are.
digest() { { cat "${@:2}"; echo "${REPOSITORY:-} ${VERSION:-}"; } | sha256sum; }
fresh() { [ -e "$1" ] && [ "$(cat "$1.made-of" 2>/dev/null)" = "$(digest "$@")" ]; }

node=("$here/Dockerfile" "$here/images.sh" "$here/ask.sh" "$here/../images/debian.sh" "$programs/built-from")
if ! fresh "$folder/node.tar" "${node[@]}"; then
    echo "==> images of the node's own pods"
    "$here/images.sh" "$programs" "$folder/node.tar"
    digest "$folder/node.tar" "${node[@]}" >"$folder/node.tar.made-of"
fi
metagate=("$binary" "$here"/../images/* "$here/../chart/Chart.yaml" "$here/../../LICENSE")
if ! fresh "$folder/metagate.tar" "${metagate[@]}"; then
    "$here/../images/build.sh" "$binary" "$folder/metagate.tar"
    digest "$folder/metagate.tar" "${metagate[@]}" >"$folder/metagate.tar.made-of"
fi

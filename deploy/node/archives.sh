#!/usr/bin/env bash
# What a node is started with: installs its programs, and makes the archives of images FOLDER/node.tar, the node's own, and
# FOLDER/metagate.tar, those of BINARY. Each is made anew only when what it is made of is newer.
#
#   archives.sh BINARY FOLDER
#
# Exits with 3 if this machine cannot run a node.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
binary=$1 folder=$2

programs=$("$here/install.sh") || exit
mkdir -p "$folder"
stale() { [ ! -e "$1" ] || [ -n "$(find "${@:2}" -newer "$1" -print -quit)" ]; }
if stale "$folder/node.tar" "$here/Dockerfile" "$here/images.sh" "$here/ask.sh" "$here/../images/debian.sh" "$programs/built-from"; then
    echo "==> images of the node's own pods"
    "$here/images.sh" "$programs" "$folder/node.tar"
fi
if stale "$folder/metagate.tar" "$here/../images" "$binary"; then
    "$here/../images/build.sh" "$binary" "$folder/metagate.tar"
fi

#!/bin/sh
# Compiles the stand-ins for Windows (test/wine/stand-in: the server and its service) and prints their folder.
#
# It is kept in a cache folder outside the repository, under a hash of this script and of the sources. Needs Debian's
# gcc-mingw-w64-x86-64-win32. Takes seconds the first time, nothing afterwards.
set -eu

sources=$(dirname "$0")/../test/wine/stand-in
cache=${PLEX_RECLAIM_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/plex-reclaim-test}
key=$(cat "$0" "$sources"/*.[ch] | sha256sum | cut -c1-16)
folder=$cache/windows-stand-ins-$key
mkdir -p "$cache"

# Two test files that start at the same time must not build it twice.
exec 9>"$cache/windows-stand-ins.lock"
flock 9

compile() {
  target=$1
  shift
  x86_64-w64-mingw32-gcc -std=c11 -O1 -Wall -Wextra -Werror -municode -static -s -o "$folder.part/$target" "$@" >&2
}

if [ ! -e "$folder" ]; then
  rm -rf "$folder.part"
  mkdir "$folder.part"
  compile "Plex Media Server.exe" -mwindows "$sources/plex-media-server.c" "$sources/registry-preferences.c" \
    -lshell32 -lole32 -luuid
  compile plex-service.exe "$sources/plex-service.c"
  mv "$folder.part" "$folder"
fi
echo "$folder"

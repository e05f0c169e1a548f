#!/bin/sh
# Builds the Debian root in which the tests run Windows programs under Wine, and prints its path.
#
# It holds a Wine prefix at /prefix that has been started once, ended, and is all on disk: a template. Machines of the
# tests lay what they change over it, and nobody ever writes to it.
#
# It is kept in a cache folder outside the repository, under a hash of this script: another script, another root.
# Needs root, mmdebstrap and Debian's package archive. Takes a minute or two the first time, nothing afterwards.
set -eu

cache=${PLEX_RECLAIM_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/plex-reclaim-test}
key=$(sha256sum "$0" | cut -c1-16)
root=$cache/wine-root-$key
mkdir -p "$cache"

# Two test files that start at the same time must not build it twice.
exec 9>"$cache/wine-root.lock"
flock 9

# In a process space of its own, which takes Wine's server along however this ends. Without a graphics driver Wine
# lets nobody create a window; the null driver needs no display. What would show a window of its own (the offer to
# fetch .NET and a browser engine) is switched off.
# shellcheck disable=SC2016
make_prefix='
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
exec chroot "$1" env -i PATH=/usr/bin:/bin HOME=/root LC_CTYPE=C.UTF-8 WINEPREFIX=/prefix WINEDEBUG=-all \
  XDG_RUNTIME_DIR=/tmp "WINEDLLOVERRIDES=mscoree,mshtml=" sh -ec "
    timeout 180 wine wineboot.exe -i
    timeout 60 wine reg.exe add HKCU\\\\Software\\\\Wine\\\\Drivers /v Graphics /d null /f
    timeout 60 wineserver -w
    grep -q Graphics /prefix/user.reg"
'

if [ ! -e "$root/.complete" ]; then
  rm -rf "$root" "$root.part"
  # tmux is the terminal of the tests, in here so that it ends with the machine that it belongs to.
  # shellcheck disable=SC2016
  mmdebstrap --quiet --variant=apt --aptopt='APT::Install-Recommends "false"' \
    --include=wine,wine64,tmux \
    --customize-hook='chroot "$1" apt-get clean' \
    trixie "$root.part" >&2
  unshare --mount --pid --fork --kill-child --propagation private sh -ec "$make_prefix" sh "$root.part" \
    </dev/null >&2 9>&-
  rm -rf "$root.part/var/lib/apt/lists" "$root.part/tmp/.wine-0"
  mkdir -p "$root.part/plex-reclaim" "$root.part/node" "$root.part/shared"
  : >"$root.part/etc/resolv.conf"
  chmod 755 "$root.part"
  touch "$root.part/.complete"
  mv "$root.part" "$root"
fi
echo "$root"

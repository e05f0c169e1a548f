#!/bin/sh
# Builds the Debian root in which the tests boot a real systemd, and prints its path.
#
# It is kept in a cache folder outside the repository, under a hash of this script: another script, another root.
# Needs root, mmdebstrap and Debian's package archive. Takes half a minute the first time, nothing afterwards.
set -eu

cache=${PLEX_RECLAIM_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/plex-reclaim-test}
key=$(sha256sum "$0" | cut -c1-16)
root=$cache/systemd-root-$key
mkdir -p "$cache"

# Two test files that start at the same time must not build it twice.
exec 9>"$cache/systemd-root.lock"
flock 9

if [ ! -e "$root/.complete" ]; then
  rm -rf "$root" "$root.part"
  mmdebstrap --quiet --variant=minbase \
    --include=systemd,systemd-sysv,dbus,procps,acl,attr,libstdc++6,libatomic1,sudo \
    --customize-hook='chroot "$1" useradd --system --user-group --home-dir /var/lib/plexmediaserver --shell /usr/sbin/nologin plex' \
    --customize-hook='chroot "$1" install -d -o plex -g plex -m 755 /var/lib/plexmediaserver' \
    --customize-hook='rm -f "$1/etc/hostname" "$1/etc/machine-id"' \
    --customize-hook='touch "$1/etc/machine-id" "$1/.complete"' \
    bookworm "$root.part" >&2
  chmod 755 "$root.part"
  mv "$root.part" "$root"
fi
echo "$root"

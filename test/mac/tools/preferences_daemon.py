"""The daemon that keeps everybody's preferences: cfprefsd.

Since 10.8 it caches the files and writes them later: "new settings will not necessarily be read, and may even be
overwritten" (Apple, CoreFoundation release notes for 10.8, "CFPreferences", quoted in
https://github.com/Homebrew/homebrew-cask/pull/20171; the same is seen in
https://github.com/mathiasbynens/dotfiles/issues/330, https://github.com/wollardj/simple-plist/issues/44 and
https://manytricks.com/blog/?cat=5&paged=4). A domain that nobody has asked for yet is read from its file.

Its memory is a folder here, one file a domain. Which of these is so is UNVERIFIED and a switch of the test:
`writesFile` (later, by the time of the next call, or at once), `cleanEdit` (whether an edit of a file whose domain is cached and unchanged is
noticed), `emptyDomain` (what is left of a domain without keys), `invalidPlist` (10.13 removed a file it could not
read: https://github.com/lionheart/openradar-mirror/issues/19386), `pathDomain` (whether a domain that is named by the
path of the file shares the memory of the one that is named by its name).
"""

import contextlib
import datetime
import hashlib
import os
import plistlib

import mac_machine as mac

# The one host of `-currentHost`: any UUID will do.
HOST = "2DDBD5D3-ADCF-4EB4-AC37-285A5079813B"


class Refused(Exception):
    """The daemon does not let this caller change the domain."""


class Domain:
    """One domain, held for the time of one call."""

    def __init__(self, name, uid, current_host=False, remember=True):
        self.name = name
        self._remember = remember
        self.uid = uid
        if name.startswith("/"):
            self.path = name if name.endswith(".plist") else name + ".plist"
            self.named_by_path = True
        else:
            by_host = f"ByHost/{name}.{HOST}" if current_host else name
            self.path = f"{mac.home(uid)}/Library/Preferences/{by_host}.plist"
            self.named_by_path = False
        self.values = {}
        self.dirty = False
        self._stamp = None
        self._load()

    @property
    def exists(self):
        return len(self.values) > 0

    def demand_writable(self):
        """
        An account other than root reaches its own daemon only from a session of its own: after `ssh root@…`,
        `sudo --user=NAME defaults write …` says "Could not write domain", and `launchctl asuser` before it helps
        (https://github.com/nix-darwin/nix-darwin/pull/1341). That this is always so is UNVERIFIED: `outsideSession`.
        """
        if mac.is_closed(self.path) or not mac.may_look(self.path):
            raise Refused
        inside = mac.SESSION in (f"gui/{self.uid}", f"user/{self.uid}")
        if self.uid != 0 and not inside and mac.SWITCHES["outsideSession"] == "refused":
            raise Refused

    def put(self):
        """Keeps the values in memory; the file follows later."""
        self.dirty = True
        if mac.SWITCHES["writesFile"] == "at-once":
            self.write_file()
        self._save()

    def write_file(self):
        """
        Always binary (https://eclecticlight.co/2026/05/19/settings-preferences-and-defaults/). A new file takes the
        place of the old one, 0600, of the account that the daemon works for.
        """
        real = mac.on_disk(self.path)
        self.dirty = False
        if not self.values and mac.SWITCHES["emptyDomain"] == "file-removed":
            with contextlib.suppress(FileNotFoundError):
                os.unlink(real)
        else:
            self._make_folder(os.path.dirname(real))
            part = real + ".standin"
            with open(os.open(part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as new:
                new.write(binary(self.values))
            if os.geteuid() == 0:
                owner = mac.user(self.uid)
                os.chown(part, self.uid, owner["gid"] if owner else 0)
            os.rename(part, real)
        self._stamp = stamp(real)
        self._save()

    def _make_folder(self, folder):
        """UNVERIFIED: that one which is gone is made again. If so, it is the account's."""
        if not os.path.isdir(folder):
            os.makedirs(folder)
            if os.geteuid() == 0:
                owner = mac.user(self.uid)
                os.chown(folder, self.uid, owner["gid"] if owner else 0)

    def _load(self):
        memory = self._memory()
        if memory is not None:
            noticed = mac.SWITCHES["cleanEdit"] == "noticed" and not memory["dirty"]
            if not noticed or memory["stamp"] == stamp(mac.on_disk(self.path)):
                self.values, self.dirty, self._stamp = memory["values"], memory["dirty"], memory["stamp"]
                if self.dirty and self._remember and mac.SWITCHES["writesFile"] == "soon":
                    self.write_file()
                return
        real = mac.on_disk(self.path)
        if mac.is_closed(self.path) or not mac.may_look(self.path):
            return
        try:
            with open(real, "rb") as found:
                self.values = plistlib.load(found)
            if not isinstance(self.values, dict):
                raise ValueError
        except FileNotFoundError:
            pass
        except Exception:  # plistlib lets whatever went wrong inside it through
            self.values = {}
            if self._remember and mac.SWITCHES["invalidPlist"] == "file-removed":
                os.unlink(real)
        self._stamp = stamp(real)
        if self._remember:
            self._save()

    def _memory_path(self):
        shared = not self.named_by_path or mac.SWITCHES["pathDomain"] == "shared"
        key = self.path if shared else f"by path, for {self.uid}: {self.path}"
        return os.path.join(mac.STATE, "cfprefsd", hashlib.sha1(key.encode()).hexdigest())

    def _memory(self):
        try:
            with open(self._memory_path(), "rb") as found:
                return plistlib.load(found)
        except FileNotFoundError:
            return None

    def _save(self):
        path = self._memory_path()
        about = {"name": self.name, "uid": self.uid, "path": self.path}
        state = {"values": self.values, "dirty": self.dirty, "stamp": self._stamp or "", "about": about}
        with open(path + ".part", "wb") as new:
            plistlib.dump(state, new, fmt=plistlib.FMT_BINARY, sort_keys=False)
        os.rename(path + ".part", path)


def memories():
    """Every domain that is in memory: path of the memory, and what is known about it."""
    folder = os.path.join(mac.STATE, "cfprefsd")
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), "rb") as found:
            memory = plistlib.load(found)
        yield os.path.join(folder, name), memory


def flush():
    """Writes what has not been written yet; over whatever stands there."""
    for _, memory in list(memories()):
        if memory["dirty"]:
            about = memory["about"]
            domain = Domain.__new__(Domain)
            domain.name, domain.uid, domain.path = about["name"], about["uid"], about["path"]
            domain.named_by_path = about["name"].startswith("/")
            domain.values, domain.dirty, domain._stamp = memory["values"], True, memory["stamp"]
            domain.write_file()


def forget(uids):
    """What the end of the daemon of these accounts does to its memory."""
    for path, memory in list(memories()):
        if memory["about"]["uid"] in uids:
            os.unlink(path)


def names_of(uid):
    """Those that have a file, and those that are only in memory so far."""
    folder = mac.on_disk(f"{mac.home(uid)}/Library/Preferences")
    found = os.listdir(folder) if os.path.isdir(folder) else []
    names = {name[: -len(".plist")] for name in found if name.endswith(".plist") and name[0] != "."}
    cached = [memory for _, memory in memories() if memory["about"]["uid"] == uid and memory["values"]]
    return sorted(names | {each["about"]["name"] for each in cached if each["about"]["name"][0] != "/"})


def stamp(real):
    try:
        found = os.stat(real)
        return f"{found.st_mtime_ns} {found.st_ino} {found.st_size}"
    except FileNotFoundError:
        return ""


def arranged(value):
    """
    With the keys of every dictionary in another order than they came in: they are kept in hash tables, which know no
    order. Which one comes out is UNVERIFIED (`keyOrder`).
    """
    if isinstance(value, dict):
        order = {
            "scrambled": lambda key: hashlib.md5(key.encode("utf-8", "surrogatepass")).digest(),
            "sorted": lambda key: key.encode("utf-8", "surrogatepass"),
        }.get(mac.SWITCHES["keyOrder"], lambda key: 0)
        return {key: arranged(value[key]) for key in sorted(value, key=order)}
    return [arranged(each) for each in value] if isinstance(value, list) else value


def handed_over(value):
    """
    As it comes out of a message to the daemon. Messages have dates in nanoseconds since 1970 in an integer
    (xpc_date_create, <xpc/xpc.h>); that preferences are sent in such is UNVERIFIED (`dates`). `plistlib` keeps
    microseconds, so what is lost is made out to be that much; it keeps no reals of 4 bytes at all.
    """
    if isinstance(value, dict):
        return {key: handed_over(each) for key, each in value.items()}
    if isinstance(value, list):
        return [handed_over(each) for each in value]
    if isinstance(value, datetime.datetime) and mac.SWITCHES["dates"] == "cut-off":
        seconds = (value - datetime.datetime(1970, 1, 1)).total_seconds()
        microseconds = int(seconds * 1e9) // 1000 - (1 if value.microsecond else 0)
        return datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=microseconds)
    return value


def binary(value):
    return plistlib.dumps(arranged(value), fmt=plistlib.FMT_BINARY, sort_keys=False)


def xml(value):
    """XML has no fractions of a second and no UID; Apple writes the latter as a dictionary (`CF$UID`)."""
    return plistlib.dumps(without_uids(arranged(value)), fmt=plistlib.FMT_XML, sort_keys=False)


def without_uids(value):
    if isinstance(value, plistlib.UID):
        return {"CF$UID": value.data}
    if isinstance(value, dict):
        return {key: without_uids(each) for key, each in value.items()}
    return [without_uids(each) for each in value] if isinstance(value, list) else value

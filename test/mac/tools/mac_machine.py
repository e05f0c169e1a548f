"""What all tools of the stand-in Mac share: whose call it is, the disk, the switches, the running processes.

Every tool is a process of its own. It learns from its environment which Mac it belongs to (MAC_STANDIN), as whom it
runs (MAC_UID) and in which session of launchd (MAC_SESSION: `gui/501`, `user/501` or `system`). The Mac is a folder:
`disk` is what a person sees at `/`, `state` is what the daemons keep in memory, `mac.json` is what the test has set.
"""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
import uuid

ROOT = os.environ["MAC_STANDIN"]
DISK = os.path.join(ROOT, "disk")
STATE = os.path.join(ROOT, "state")
UID = int(os.environ["MAC_UID"])
SESSION = os.environ["MAC_SESSION"]
TOOLS = os.path.dirname(os.path.abspath(__file__))

with open(os.path.join(ROOT, "mac.json"), encoding="utf-8") as opened:
    MAC = json.load(opened)
SWITCHES = MAC["switches"]


def fresh_switches():
    """The switches as they are now: a test may change them while a tool waits."""
    with open(os.path.join(ROOT, "mac.json"), encoding="utf-8") as now:
        return json.load(now)["switches"]


def on_disk(path):
    """Where a path of the Mac really is. Descriptors and what is no absolute path stay themselves."""
    if path.startswith("/dev/") or not path.startswith("/"):
        return path
    if path == DISK or path.startswith(DISK + "/"):
        return path
    return os.path.join(DISK, path.lstrip("/"))


def user(uid):
    for each in MAC["users"]:
        if each["uid"] == uid:
            return each
    return None


def user_named(name):
    for each in MAC["users"]:
        if each["name"] == name:
            return each
    return None


def home(uid):
    found = user(uid)
    return "/var/empty" if found is None else found["home"]


def is_closed(path):
    """Whether privacy protection keeps everybody out of this path, root too (TCC, "Operation not permitted")."""
    return any(path == each or path.startswith(each + "/") for each in SWITCHES["closed"])


def may_look(path):
    """Whether this account may go where this path is: other people's Library is theirs alone (mode 0700)."""
    if UID == 0:
        return True
    path = path.removeprefix("/private")
    for each in MAC["users"]:
        private = each["home"] if each["uid"] == 0 else each["home"] + "/Library"
        if each["uid"] != UID and (path == private or path.startswith(private + "/")):
            return False
    return True


@contextlib.contextmanager
def locked(name="lock"):
    """One at a time; the kernel frees it when the process dies."""
    with open(os.path.join(STATE, name), "a", encoding="utf-8") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def write_json(path, value):
    part = f"{path}.{uuid.uuid4().hex}"
    with open(part, "w", encoding="utf-8") as new:
        json.dump(value, new)
    os.rename(part, path)


def read_json(path):
    try:
        with open(path, encoding="utf-8") as found:
            return json.load(found)
    except (FileNotFoundError, json.JSONDecodeError):
        return None


# Processes -----------------------------------------------------------------------------------------------------


def start_of(pid):
    """When a process of this Linux began, in ticks; None when there is none, or only its remains."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as found:
            fields = found.read().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else int(fields[19])
    except (FileNotFoundError, ProcessLookupError):
        return None


def record_path(pid):
    return os.path.join(STATE, "processes", f"{pid}.json")


def applications():
    """Those that run, as they were recorded."""
    folder = os.path.join(STATE, "processes")
    found = [read_json(os.path.join(folder, name)) for name in os.listdir(folder) if name.endswith(".json")]
    return [each for each in found if each and start_of(each["pid"]) == each["ticks"]]


def spawn_detached(words, uid, session):
    """Starts a part of the stand-in that outlives us; nothing of our pipes goes along."""
    env = {**os.environ, "MAC_UID": str(uid), "MAC_SESSION": session}
    return subprocess.Popen(
        [sys.executable, *PYTHON_OPTIONS, *words],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )


PYTHON_OPTIONS = ["-B", "-S", "-E", "-s"]


def launch(uid, session):
    """
    Starts the server's application and waits until it is a process, or has ended. Answers its record, or None when
    it ended before anybody could see it.
    """
    child = spawn_detached([os.path.join(TOOLS, "application.py")], uid, session)
    end = time.monotonic() + 30
    while time.monotonic() < end:
        record = read_json(record_path(child.pid))
        if record is not None:
            return record
        if child.poll() is not None:
            return None
        time.sleep(0.005)
    child.kill()
    return None


def ask_to_end(record, name=signal.SIGTERM):
    with contextlib.suppress(ProcessLookupError):
        if start_of(record["pid"]) == record["ticks"]:
            os.kill(record["pid"], name)


def has_ended(record):
    return start_of(record["pid"]) != record["ticks"]


# Programs ------------------------------------------------------------------------------------------------------

PROGRAMS = {
    "/bin/kill": "kill",
    "/bin/launchctl": "launchctl",
    "/bin/ls": "ls",
    "/bin/ps": "ps",
    "/bin/rm": "rm",
    "/usr/bin/defaults": "defaults",
    "/usr/bin/dscl": "dscl",
    "/usr/bin/id": "id",
    "/usr/bin/killall": "killall",
    "/usr/bin/mktemp": "mktemp",
    "/usr/bin/open": "open",
    "/usr/bin/osascript": "osascript",
    "/usr/bin/plutil": "plutil",
    "/usr/bin/stat": "stat",
    "/usr/bin/sudo": "sudo",
    "/usr/bin/sw_vers": "sw_vers",
    "/usr/bin/xattr": "xattr",
}
# Real processes have Linux's own at that place, and none of ours.
PROGRAMS.update({"/usr/bin/env": "env"})


def become(words, uid, session):
    """Runs another tool of this Mac in our place. Returns when there is none of that name."""
    names = {path.rpartition("/")[2]: tool for path, tool in PROGRAMS.items()}
    tool = PROGRAMS.get(words[0]) or names.get(words[0])
    if tool is None:
        return
    log_call(uid, session, tool, words[1:])
    env = {**os.environ, "MAC_UID": str(uid), "MAC_SESSION": session}
    sys.stdout.flush()
    script = os.path.join(TOOLS, tool)
    os.execve(sys.executable, [sys.executable, *PYTHON_OPTIONS, script, *words[1:]], env)


def log_call(uid, session, tool, words):
    """What was called, with what everybody could see of it in the list of processes."""
    line = json.dumps({"uid": uid, "session": session, "tool": tool, "args": words})
    with open(os.path.join(STATE, "calls.jsonl"), "a", encoding="utf-8") as log:
        log.write(line + "\n")


def fail(text, status=1):
    """Ends the tool with a message on standard error."""
    sys.stdout.flush()
    sys.stderr.write(text if text.endswith("\n") else text + "\n")
    sys.stderr.flush()
    sys.exit(status)

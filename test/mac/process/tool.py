"""
A tool of the stand-in Mac as a program of its own, at the place where a Mac has it: `/usr/bin/defaults`, `/bin/ps`, …

Which tool it is says the name that it was started under; whose call it is the kernel says (its account), and in which
session of launchd a group that every child inherits, as a Mac's children inherit their session: nothing comes from the
environment, which the caller makes. All that a call could have given away is logged: arguments and environment.
"""

import json
import os
import runpy
import subprocess
import sys
import time

with open("/usr/libexec/stand-in/about.json", encoding="utf-8") as opened:
    ABOUT = json.load(opened)
NAME = os.path.basename(sys.argv[0])
DESKTOP, OUTSIDE = ABOUT["desktopGroups"], ABOUT["outsideGroups"]


def session():
    for group in os.getgroups():
        if DESKTOP <= group < DESKTOP + 10_000:
            return f"gui/{group - DESKTOP}"
        if OUTSIDE <= group < OUTSIDE + 10_000:
            return f"user/{group - OUTSIDE}"
    return "system" if os.getuid() == 0 else f"user/{os.getuid()}"


def with_our_own(applications):
    """`ps` shows every process: those of the program as well, which are real ones."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as found:
                words = found.read().split("\0")
            uid, ticks = os.stat(f"/proc/{pid}").st_uid, mac.start_of(pid)
        except (FileNotFoundError, ProcessLookupError):
            continue
        if len(words) > 1 and words[1] == ABOUT["program"] and ticks is not None:
            started = int(BOOTED + ticks / os.sysconf("SC_CLK_TCK"))
            applications.append({"pid": int(pid), "uid": uid, "executable": words[0], "started": started, "helpers": []})
    return applications


def booted():
    with open("/proc/stat", encoding="utf-8") as found:
        return next(int(line.split()[1]) for line in found if line.startswith("btime "))


def groups_of(uid, name):
    kind, _, owner = name.partition("/")
    own = {"gui": DESKTOP, "user": OUTSIDE}
    return [gid_of(uid), *([own[kind] + int(owner)] if kind in own else [])]


def gid_of(uid):
    found = mac.user(uid)
    return found["gid"] if found else 0


def log():
    line = {"uid": os.getuid(), "session": session(), "tool": NAME, "args": sys.argv[1:]}
    with open(os.path.join(ABOUT["mac"], "state", "calls.jsonl"), "a", encoding="utf-8") as calls:
        calls.write(json.dumps({**line, "env": handed_over()}) + "\n")


def handed_over():
    """The environment as the caller made it; Python adds to its own."""
    with open("/proc/self/environ", encoding="utf-8", errors="replace") as found:
        entries = found.read().split("\0")
    return {name: value for name, _, value in (entry.partition("=") for entry in entries) if name}


def become(words, uid, name):
    """Another tool in our place, at its own place, under another account or in another session."""
    path = next((each for each in mac.PROGRAMS if words[0] in (each, os.path.basename(each))), None)
    if path is None:
        return
    env = {key: value for key, value in os.environ.items() if not key.startswith("MAC_")}
    if NAME == "sudo":
        target = mac.user(uid)
        env.update({"HOME": target["home"], "USER": target["name"], "LOGNAME": target["name"]})
    sys.stdout.flush()
    if os.geteuid() == 0:
        os.setgroups(groups_of(uid, name))
        os.setgid(gid_of(uid))
        os.setuid(uid)
    os.execve(path, [path, *words[1:]], env)


def spawn_detached(words, uid, name):
    account = {"user": uid, "group": gid_of(uid), "extra_groups": groups_of(uid, name)} if os.geteuid() == 0 else {}
    return subprocess.Popen(
        [sys.executable, *mac.PYTHON_OPTIONS, *words],
        env={**os.environ, "MAC_UID": str(uid), "MAC_SESSION": name},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
        **account,
    )


def wait_while_held():
    """
    A test can meet a run in the middle of a call. `hold.json` names a tool and a text among its words; the first call
    like it takes that away, says who it is in `held-NUMBER.json`, and waits until that is taken away.
    """
    path = os.path.join(ABOUT["mac"], "state", "hold.json")
    hold = mac.read_json(path)
    if hold is None or hold["tool"] != NAME or hold["word"] not in " ".join(sys.argv[1:]):
        return
    ids = {"pid": os.getpid(), "parent": os.getppid(), "session": os.getsid(0), "uid": os.getuid()}
    held = os.path.join(ABOUT["mac"], "state", f"held-{hold['number']}.json")
    os.unlink(path)
    mac.write_json(held, ids)
    end = time.monotonic() + 300
    while os.path.exists(held) and time.monotonic() < end:
        time.sleep(0.01)


log()
os.environ.update({"MAC_STANDIN": ABOUT["mac"], "MAC_UID": str(os.getuid()), "MAC_SESSION": session()})
sys.path.insert(0, ABOUT["tools"])
# Compiled once, and not beside the source.
sys.pycache_prefix, sys.dont_write_bytecode = ABOUT["cache"], False

import mac_machine as mac  # noqa: E402 (it reads what was just set)

mac.become, mac.spawn_detached = become, spawn_detached
if NAME == "ps":
    BOOTED, applications = booted(), mac.applications
    mac.applications = lambda: with_our_own(applications())
wait_while_held()
runpy.run_path(os.path.join(ABOUT["tools"], NAME), run_name="__main__")

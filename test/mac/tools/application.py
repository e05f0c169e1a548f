"""The server as an application of this Mac: what stands in the list of processes.

At its start it takes its settings from its account's domain, through the daemon, and runs the stand-in server over a
private `Preferences.xml`; when that has ended in peace, it puts what the server made of them back through the daemon. A
process that is killed takes the server with it and puts nothing back. Whether the real one writes all of its settings
at its end or only those that it changed is UNVERIFIED: `serverWrites`.
"""

import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as elements

import mac_machine as mac
import preferences_daemon as daemon

DOMAIN = "com.plexapp.plexmediaserver"


def main(job):
    mac_json = mac.MAC
    application = mac_json["application"]
    if application["diesAtStart"] == "at-once":
        sys.exit(1)
    server = mac_json["servers"].get(str(mac.UID)) or stray_server(mac_json)
    folder = f"{application['path']}/Contents/MacOS"
    below = enumerate(application["helpers"], os.getpid() + 1_000_000)
    helpers = [{"pid": pid, "path": f"{folder}/{name}"} for pid, name in below]
    about = {key: application[key] for key in ("name", "bundleId", "executable")}
    record = {**about, "pid": os.getpid(), "ticks": mac.start_of(os.getpid()), "uid": mac.UID, "session": mac.SESSION}
    record.update({"started": int(time.time()), "quitting": False, "job": job, "helpers": helpers})
    record["environment"] = environment()
    asked = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda _signal, _frame: asked.set())
    mac.write_json(mac.record_path(os.getpid()), record)
    if application["diesAtStart"] == "soon":
        time.sleep(0.05)
        end_of(record, 1)

    before = laid_out(server)
    lay_claim_page(server, before)
    child = subprocess.Popen(
        [mac_json["node"], mac_json["program"]],
        env={
            "PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR": server["support"],
            "STANDIN_DATA_FOLDER": os.path.join(server["support"], "data"),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=die_with_parent,
        cwd="/",
    )

    def ask(_signal, _frame):
        mac.write_json(mac.record_path(os.getpid()), {**record, "quitting": True})
        child.send_signal(signal.SIGTERM)

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)
    if asked.is_set():
        ask(None, None)
    threading.Thread(target=end_with_test, args=(mac_json["owner"], child), daemon=True).start()
    status = child.wait()
    if status == 0:
        put_back(server, before)
    end_of(record, status)


def environment():
    """As it was handed over; Python adds to its own."""
    with open("/proc/self/environ", encoding="utf-8", errors="replace") as found:
        entries = [entry.partition("=") for entry in found.read().split("\0") if entry]
    return {name: value for name, _, value in entries if not name.startswith("MAC_")}


def stray_server(mac_json):
    """An account that no server was installed for starts the one that is there, on the same port, with nothing."""
    server = next(iter(mac_json["servers"].values()))
    support = os.path.join(mac.STATE, "servers", str(mac.UID))
    os.makedirs(os.path.join(support, "data", "Logs"), exist_ok=True)
    with open(os.path.join(server["support"], "standin.json"), encoding="utf-8") as found:
        behaviour = found.read()
    with open(os.path.join(support, "standin.json"), "w", encoding="utf-8") as new:
        new.write(behaviour)
    return {"support": support}


def lay_claim_page(server, values):
    """What the server of Windows has beside its data (PMSSVC), and that of a Mac may have: UNVERIFIED."""
    if "dataFolder" not in server:
        return
    with open(os.path.join(server["support"], "standin.json"), encoding="utf-8") as found:
        address = f"http://127.0.0.1:{json.load(found)['port']}/web/index.html"
    with open(os.path.join(server["dataFolder"], "Setup Plex.html"), "w", encoding="utf-8") as new:
        new.write(f'<html><body><a href="{address}">Plex</a></body></html>\n')
    claim = os.path.join(server["dataFolder"], ".claimURL")
    if values.get("PlexOnlineToken"):
        if os.path.exists(claim):
            os.unlink(claim)
    else:
        with open(claim, "w", encoding="utf-8") as new:
            new.write(address)


def preferences_path(server):
    return os.path.join(server["support"], "Plex Media Server", "Preferences.xml")


def laid_out(server):
    """What the server starts with: the values of the domain that are no containers, as text. Answers them."""
    with mac.locked():
        values = daemon.Domain(DOMAIN, mac.UID).values
    texts = {name: as_text(value) for name, value in values.items() if is_a_servers(name, value)}
    os.makedirs(os.path.dirname(preferences_path(server)), exist_ok=True)
    root = elements.Element("Preferences", texts)
    text = elements.tostring(root, encoding="unicode")
    with open(preferences_path(server), "w", encoding="utf-8") as new:
        new.write(f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n')
    return texts


def is_a_servers(name, value):
    """The rest is what any application of a Mac has in its domain; no attribute has such a name."""
    return as_text(value) is not None and re.fullmatch(r"[A-Za-z_][\w.:-]*", name) is not None


def as_text(value):
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, (int, float)):
        return repr(value)
    return value if isinstance(value, str) else None


def put_back(server, before):
    """Names and text as before keep value and type; what was an integer or a boolean stays one where it can."""
    after = dict(elements.parse(preferences_path(server)).getroot().attrib)
    with mac.locked():
        domain = daemon.Domain(DOMAIN, mac.UID)
        values = dict(domain.values)
        everything = mac.fresh_switches()["serverWrites"] == "everything"
        for name in before:
            if name not in after and (everything or name in values):
                values.pop(name, None)
        for name, text in after.items():
            old = values.get(name)
            if as_text(old) == text or (not everything and before.get(name) == text):
                continue
            values[name] = typed(text, old)
        domain.values = values
        domain.put()


def typed(text, old):
    if isinstance(old, bool) and text in ("0", "1"):
        return text == "1"
    if text.isdigit() and len(text) < 18 and not isinstance(old, str):
        return int(text)
    return text


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def end_with_test(owner, child):
    """A test that was killed leaves nothing behind."""
    while child.poll() is None:
        if mac.start_of(owner["pid"]) != owner["ticks"] or not os.path.exists(mac.STATE):
            child.kill()
            os._exit(1)
        time.sleep(0.5)


def end_of(record, status):
    """Not before this is it gone from the list of processes."""
    os.unlink(mac.record_path(record["pid"]))
    sys.exit(0 if status == 0 else 1)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)

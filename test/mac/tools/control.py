"""What a test does to the Mac from outside, through none of its tools. One request a call: JSON on standard input,
JSON on standard output. Values travel with their types, so that nothing is lost: `{"type": "integer", "value": "1"}`.
"""

import datetime
import json
import os
import plistlib
import sys

import mac_machine as mac
import preferences_daemon as daemon

EPOCH = datetime.datetime(2001, 1, 1)


def main(request):
    with mac.locked():
        return globals()[f"do_{request['do']}"](request)


def do_flush(_):
    daemon.flush()


def do_forget(_):
    daemon.forget([each["uid"] for each in mac.MAC["users"]])


def do_read(request):
    """What the daemon would say, in its own order; reading it leaves the daemon's memory as it was found."""
    domain = daemon.Domain(request["domain"], mac.UID, remember=False)
    return {"values": [[name, typed(value)] for name, value in domain.values.items()]}


def do_read_file(request):
    with open(mac.on_disk(request["path"]), "rb") as found:
        return {"values": [[name, typed(value)] for name, value in plistlib.load(found).items()]}


def do_write(request):
    domain = daemon.Domain(request["domain"], mac.UID)
    values = {} if request["replace"] else dict(domain.values)
    for name, value in request["values"]:
        values.pop(name, None)
        if value is not None:
            values[name] = untyped(value)
    domain.values = values
    domain.put()


def do_edit_file(request):
    """An edit behind the daemon's back."""
    real = mac.on_disk(request["path"])
    with open(real, "rb") as found:
        data = found.read()
    values = plistlib.loads(data)
    for name, value in request["values"]:
        values.pop(name, None)
        if value is not None:
            values[name] = untyped(value)
    form = plistlib.FMT_BINARY if data.startswith(b"bplist") else plistlib.FMT_XML
    with open(real, "wb") as new:
        plistlib.dump(values, new, fmt=form, sort_keys=False)


def do_applications(_):
    return {"applications": mac.applications()}


def do_bring_back(_):
    """Something that nobody can find starts the server, and starts it again after every end."""
    folder = os.path.join(mac.STATE, "hidden-jobs", str(mac.UID))
    os.makedirs(folder, exist_ok=True)
    mac.write_json(os.path.join(folder, "unknown.json"), {"label": "unknown", "keepAlive": True})
    mac.spawn_detached([os.path.join(mac.TOOLS, "launchd.py"), "unknown"], mac.UID, f"gui/{mac.UID}")


def typed(value):
    if isinstance(value, bool):
        return {"type": "boolean", "value": value}
    if isinstance(value, int):
        return {"type": "integer", "value": str(value)}
    if isinstance(value, float):
        return {"type": "real", "value": repr(value)}
    if isinstance(value, str):
        return {"type": "string", "value": value}
    if isinstance(value, bytes):
        return {"type": "data", "value": value.hex()}
    if isinstance(value, datetime.datetime):
        return {"type": "date", "value": repr((value - EPOCH).total_seconds())}
    if isinstance(value, plistlib.UID):
        return {"type": "uid", "value": str(value.data)}
    if isinstance(value, list):
        return {"type": "array", "value": [typed(each) for each in value]}
    return {"type": "dictionary", "value": [[name, typed(each)] for name, each in value.items()]}


def untyped(value):
    text = value["value"]
    kind = value["type"]
    if kind in ("boolean", "string"):
        return text
    if kind == "array":
        return [untyped(each) for each in text]
    if kind == "dictionary":
        return {name: untyped(each) for name, each in text}
    simple = {
        "integer": int,
        "real": float,
        "data": bytes.fromhex,
        "date": lambda seconds: EPOCH + datetime.timedelta(seconds=float(seconds)),
        "uid": lambda number: plistlib.UID(int(number)),
    }
    return simple[kind](text)


json.dump(main(json.load(sys.stdin)) or {}, sys.stdout)

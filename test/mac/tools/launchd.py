"""launchd for one job: starts the server's application, and again after its end as long as the job is loaded and
`KeepAlive` is set (`LaunchAgents/*.plist`, launchd.plist(5)). The real one waits ten seconds between two starts; here
`respawnMs`. A job that is `hidden` is something nobody can find: it is in no list."""

import os
import sys
import time

import mac_machine as mac

label = sys.argv[1]
path = os.path.join(mac.STATE, "jobs", str(mac.UID), f"{label}.json")
hidden = os.path.join(mac.STATE, "hidden-jobs", str(mac.UID), f"{label}.json")
owner = mac.MAC["owner"]
while mac.start_of(owner["pid"]) == owner["ticks"]:
    job = mac.read_json(path) or mac.read_json(hidden)
    if job is None:
        break
    name = None if os.path.exists(hidden) else label
    words = [os.path.join(mac.TOOLS, "application.py"), *([] if name is None else [name])]
    child = mac.spawn_detached(words, mac.UID, f"gui/{mac.UID}")
    child.wait()
    if not job["keepAlive"]:
        break
    time.sleep(mac.fresh_switches()["respawnMs"] / 1000)

# One libtorrent session: a seed, or a peer that begins when a file appears, and says when it has it all.
import os
import sys
import time

import libtorrent as lt

role, torrent, folder, address, super_seeding = sys.argv[1:6]
session = lt.session({
    "listen_interfaces": address + ":6881",
    "enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
    "enable_outgoing_utp": False, "enable_incoming_utp": False,
    "allow_multiple_connections_per_ip": True, "connections_limit": 200,
    "unchoke_slots_limit": 16, "seed_choking_algorithm": 0, "min_reconnect_time": 1,
    "rate_limit_ip_overhead": False, "mixed_mode_algorithm": 0,
    "torrent_connect_boost": 50, "connection_speed": 100,
})
params = {"ti": lt.torrent_info(torrent), "save_path": folder}
if role == "seed":
    params["flags"] = lt.torrent_flags.seed_mode
print("ready", flush=True)
while role != "seed" and not os.path.exists(os.path.join(folder, "go")):
    time.sleep(0.01)
handle = session.add_torrent(params)
handle.set_max_connections(100)
if role == "seed" and super_seeding == "1":
    handle.set_flags(lt.torrent_flags.super_seeding)
handle.resume()
done = False
while True:
    if role != "seed" and not done and handle.status().is_seeding:
        done = True
        print("done", flush=True)
    time.sleep(0.05)

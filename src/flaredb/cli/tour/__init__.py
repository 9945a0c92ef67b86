"""``flaredb demo --tour``: real data through real clients, a leader killed, regions moved, everything verified."""

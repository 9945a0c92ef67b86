"""``flaredb bench``: a load on a cluster through the Python client, and what it took."""

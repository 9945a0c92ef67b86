"""For tests of programs that use FlareDB: whole clusters in about a second, and clients without any server.

    with flaredb.testing.Cluster(stores=3) as cluster, cluster.connect() as db:
        db.put(b"k", b"v")
        cluster.kill(cluster.leader(b"k"))
        assert db.get(b"k") == b"v"

    db = flaredb.testing.MemoryClient()        # the same calls, checks and errors, in microseconds

With pytest the fixtures ``flaredb_cluster`` and ``flaredb_client`` are there by themselves (``plugin.py``).
"""

from flaredb.testing.cluster import Cluster
from flaredb.testing.memory import AsyncMemoryClient, MemoryClient

__all__ = ["AsyncMemoryClient", "Cluster", "MemoryClient"]

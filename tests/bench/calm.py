"""Settings of demos in which leaders stay where they are while a store stands still for some seconds."""

from __future__ import annotations

from flaredb.cli.local_cluster import QUICK_STORE
from flaredb.server.toml_text import dump_toml, merge
from tests.integration.cluster import CALM

CALM_DEMO = dump_toml(merge(QUICK_STORE, CALM))

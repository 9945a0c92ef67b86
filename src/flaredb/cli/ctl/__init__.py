"""``flaredb ctl``: orders to a cluster, with pd-ctl's grammar, over PD's HTTP API."""

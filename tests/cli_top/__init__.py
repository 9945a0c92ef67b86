"""``flaredb top``."""

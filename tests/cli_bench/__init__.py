"""``flaredb bench``."""

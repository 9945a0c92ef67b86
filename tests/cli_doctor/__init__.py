"""``flaredb doctor``."""

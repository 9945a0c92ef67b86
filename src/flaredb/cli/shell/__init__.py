"""``flaredb shell``: commands on data, one after the other, over one connection; for FlareDB and for TiKV."""

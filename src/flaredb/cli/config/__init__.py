"""``flaredb config``: configuration files of stores and PD, checked and explained without starting anything."""

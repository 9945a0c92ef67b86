"""For all tests: what Hypothesis tries is judged by what it shows, not by how long a busy machine took."""

from hypothesis import HealthCheck, settings

settings.register_profile("flaredb", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("flaredb")

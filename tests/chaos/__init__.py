"""Real processes under real faults: docs/reliability.md."""

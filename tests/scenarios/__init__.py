"""Real bugs of other systems, R1 to R16, each played step by step, with its guard and without it: docs/reliability.md."""

"""Real bugs of other systems, R1 to R16, played step by step, with their guards and without: docs/reliability.md."""

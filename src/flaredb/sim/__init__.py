"""Whole clusters in virtual time, in one process, from one seed: the same cores that run for real, under faults."""

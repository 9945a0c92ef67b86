"""Clients of gRPC services of other processes."""

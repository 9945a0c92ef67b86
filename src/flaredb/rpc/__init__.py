"""Clients of gRPC services of other processes."""

import os

# gRPC's core revives its threads in a forked child by default, in whatever state they were: a child that never calls
# gRPC then dies of a segmentation fault now and then. Python's half of gRPC has this off by default.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

"""Generated protobuf modules; `scripts/gen_proto.py` writes every file here but this one. Do not edit them."""

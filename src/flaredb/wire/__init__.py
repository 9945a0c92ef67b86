"""Bytes and back: the only room that knows protobuf, and the encodings of what is stored and sent between stores."""

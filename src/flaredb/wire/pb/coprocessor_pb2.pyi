from flaredb.wire.pb import errorpb_pb2 as _errorpb_pb2
from flaredb.wire.pb import kvrpcpb_pb2 as _kvrpcpb_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Request(_message.Message):
    __slots__ = ("context",)
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    context: _kvrpcpb_pb2.Context
    def __init__(self, context: _Optional[_Union[_kvrpcpb_pb2.Context, _Mapping]] = ...) -> None: ...

class Response(_message.Message):
    __slots__ = ("region_error", "other_error")
    REGION_ERROR_FIELD_NUMBER: _ClassVar[int]
    OTHER_ERROR_FIELD_NUMBER: _ClassVar[int]
    region_error: _errorpb_pb2.Error
    other_error: str
    def __init__(self, region_error: _Optional[_Union[_errorpb_pb2.Error, _Mapping]] = ..., other_error: _Optional[str] = ...) -> None: ...

class BatchRequest(_message.Message):
    __slots__ = ("context",)
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    context: _kvrpcpb_pb2.Context
    def __init__(self, context: _Optional[_Union[_kvrpcpb_pb2.Context, _Mapping]] = ...) -> None: ...

class BatchResponse(_message.Message):
    __slots__ = ("other_error",)
    OTHER_ERROR_FIELD_NUMBER: _ClassVar[int]
    other_error: str
    def __init__(self, other_error: _Optional[str] = ...) -> None: ...

class DelegateRequest(_message.Message):
    __slots__ = ("context",)
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    context: _kvrpcpb_pb2.Context
    def __init__(self, context: _Optional[_Union[_kvrpcpb_pb2.Context, _Mapping]] = ...) -> None: ...

class DelegateResponse(_message.Message):
    __slots__ = ("region_error", "other_error")
    REGION_ERROR_FIELD_NUMBER: _ClassVar[int]
    OTHER_ERROR_FIELD_NUMBER: _ClassVar[int]
    region_error: _errorpb_pb2.Error
    other_error: str
    def __init__(self, region_error: _Optional[_Union[_errorpb_pb2.Error, _Mapping]] = ..., other_error: _Optional[str] = ...) -> None: ...

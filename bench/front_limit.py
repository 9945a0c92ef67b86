"""What a unary call costs before FlareDB does anything: ``python -m bench.front_limit [--seconds 3] [--rounds 3]``.

Three servers that answer every RawPut at once with the same empty message, each a process of Python and uvloop, loaded
by the compiled generator with 256 calls in flight:

grpc.aio   the library's server, with a handler that takes and gives bytes, as FlareDB's service has it
frames     an asyncio.Protocol that reads HTTP/2 frames itself; header blocks it skips, because this load has one
           method only, and answers with encoded headers that never change. A bound, not a server.

built-in   FlareDB's own server (server.grpc-server = "built-in"), with a handler that answers at once

The difference of the first two is what replacing the front end could save; the rest of a unary put is FlareDB's own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import subprocess
import sys
from collections.abc import Iterator

import grpc
from bench.compare import make_generator
from bench.demo import await_true
from bench.generator import Figures, Target, Work
from bench.routes import Route as KeyRoute

from flaredb.cli.ports import HOST, PortPicker, is_free
from flaredb.server.call import Route
from flaredb.server.http2.front import Http2Server
from flaredb.wire.pb import kvrpcpb_pb2
from flaredb.wire.services import TIKV_METHODS

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD_BYTES = 9
DATA, HEADERS, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 4, 6, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
WINDOW_BYTES = 1 << 24
KINDS = ("grpc.aio", "frames", "built-in")


def frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    """One HTTP/2 frame."""
    return len(body).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + body


def literal(name: bytes, value: bytes) -> bytes:
    """A header field that enters no table (RFC 7541, 6.2.2), without Huffman codes."""
    return bytes((0, len(name))) + name + bytes((len(value),)) + value


# :status 200 is entry 8 of the static table.
_HEADERS = b"\x88" + literal(b"content-type", b"application/grpc")
_TRAILERS = literal(b"grpc-status", b"0")


class FrameServer(asyncio.Protocol):
    """Answers the end of every stream with an empty message."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._rest = b""
        self._has_preface = False
        self._received_bytes = 0
        # The answer but for the stream's number, which stands at three places.
        frames = (
            frame(HEADERS, END_HEADERS, 0, _HEADERS),
            frame(DATA, 0, 0, bytes(5)),
            frame(HEADERS, END_HEADERS | END_STREAM, 0, _TRAILERS),
        )
        self._pieces = [(one[:5], one[HEAD_BYTES:]) for one in frames]
        settings = b"\x00\x04" + WINDOW_BYTES.to_bytes(4, "big")
        grant = (WINDOW_BYTES - 65_535).to_bytes(4, "big")
        self._transport.write(frame(SETTINGS, 0, 0, settings) + frame(WINDOW_UPDATE, 0, 0, grant))

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        at = 0
        if not self._has_preface:
            if len(data) < len(PREFACE):
                self._rest = data
                return
            self._has_preface = True
            at = len(PREFACE)
        out: list[bytes] = []
        (head_1, body_1), (head_2, body_2), (head_3, body_3) = self._pieces
        while len(data) - at >= HEAD_BYTES:
            size = int.from_bytes(data[at : at + 3], "big")
            end = at + HEAD_BYTES + size
            if end > len(data):
                break
            kind, flags = data[at + 3], data[at + 4]
            if kind == DATA:
                self._received_bytes += size
                if flags & END_STREAM:
                    stream = data[at + 5 : at + 9]
                    out += (head_1, stream, body_1, head_2, stream, body_2, head_3, stream, body_3)
            elif kind == SETTINGS and not flags & ACK:
                out.append(frame(SETTINGS, ACK, 0, b""))
            elif kind == PING and not flags & ACK:
                out.append(frame(PING, ACK, 0, data[at + HEAD_BYTES : end]))
            at = end
        self._rest = data[at:]
        if self._received_bytes > WINDOW_BYTES // 2:
            out.append(frame(WINDOW_UPDATE, 0, 0, self._received_bytes.to_bytes(4, "big")))
            self._received_bytes = 0
        if out:
            self._transport.write(b"".join(out))


async def serve(kind: str, port: int) -> None:
    """One of the servers, until the process is ended."""
    if kind == "frames":
        server = await asyncio.get_running_loop().create_server(FrameServer, HOST, port)
        await server.serve_forever()
    answer = kvrpcpb_pb2.RawPutResponse().SerializeToString()
    if kind == "built-in":
        route = Route("unary", lambda _data, reply: reply.answer(answer))
        await Http2Server({TIKV_METHODS["RawPut"].path: route}).start(HOST, port)
        await asyncio.Event().wait()

    async def put(data: bytes, context: object) -> bytes:  # noqa: ARG001
        return answer

    aio = grpc.aio.server()
    handlers = {"RawPut": grpc.unary_unary_rpc_method_handler(put)}
    aio.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("tikvpb.Tikv", handlers),))
    aio.add_insecure_port(f"{HOST}:{port}")
    await aio.start()
    await aio.wait_for_termination()


@contextlib.contextmanager
def server_process(kind: str) -> Iterator[Target]:
    """The server in a process of its own."""
    port = PortPicker().pick()
    process = subprocess.Popen([sys.executable, "-m", "bench.front_limit", "--serve", kind, "--port", str(port)])
    try:
        await_true(lambda: not is_free(port), 30, f"{kind} listens")
        address = f"{HOST}:{port}"
        yield Target((address,), (process.pid,), (KeyRoute(b"", b"", address, kvrpcpb_pb2.Context(region_id=1)),))
    finally:
        process.kill()
        process.wait()


def main(argv: list[str] | None = None) -> None:
    """Load both in turns."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--in-flight", type=int, default=256)
    parser.add_argument("--serve", choices=KINDS, default=None)
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args(argv)
    if arguments.serve:
        import uvloop

        uvloop.run(serve(arguments.serve, arguments.port))
        return
    generator = make_generator()
    work = Work("unary", arguments.in_flight)
    runs: dict[str, list[Figures]] = {kind: [] for kind in KINDS}
    with contextlib.ExitStack() as open_:
        targets = {kind: open_.enter_context(server_process(kind)) for kind in KINDS}
        for _ in range(arguments.rounds):
            for name, target in targets.items():
                runs[name].append(generator.run(target, work, arguments.seconds, 0.5))
    print(f"{'server':12}{'calls/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'CPU us/call':>13}{'errors':>8}")
    for name, found in runs.items():
        rate, p50, p99, cpu = (
            statistics.median(getattr(run, figure) for run in found)
            for figure in ("ops_per_s", "p50_ms", "p99_ms", "server_cpu_s_per_1000")
        )
        print(f"{name:12}{rate:>10,.0f}{p50:>9.2f}{p99:>9.2f}{cpu * 1000:>13.1f}{sum(run.errors for run in found):>8}")


if __name__ == "__main__":
    main()

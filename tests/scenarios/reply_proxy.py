"""A proxy between a client and a store that can lose what the store says."""

from __future__ import annotations

import contextlib
import socket
import threading

HOST = "127.0.0.1"
CHUNK_BYTES = 64 * 1024
JOIN_DEADLINE_S = 30.0


class ReplyProxy:
    """Carries connections to ``target_port``; as a context manager it ends them all.

    While ``loses_replies`` is set, what the store sends goes nowhere, and nor does it later on a connection that was
    broken meanwhile; what clients send always arrives.
    """

    def __init__(self) -> None:
        self.target_port = 0
        self.loses_replies = threading.Event()
        self.lost_bytes = 0
        self._listener = socket.create_server((HOST, 0))
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    @property
    def address(self) -> str:
        """host:port for clients."""
        return f"{HOST}:{self._listener.getsockname()[1]}"

    def break_connections(self) -> None:
        """End every connection; later ones are carried, with their replies."""
        ends, self._ends = self._ends, []
        self.loses_replies.clear()
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> ReplyProxy:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.break_connections()
        for thread in self._threads:
            thread.join(JOIN_DEADLINE_S)
            assert not thread.is_alive(), "a connection does not end"

    def _start(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, name="reply proxy")  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    store = socket.create_connection((HOST, self.target_port))
                except OSError:
                    client.close()
                    continue
                self._ends += [client, store]
                self._start(self._pump, client, store, False)
                self._start(self._pump, store, client, True)

    def _pump(self, source: socket.socket, sink: socket.socket, is_reply: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK_BYTES):
                if is_reply and (self.loses_replies.is_set() or source not in self._ends):
                    self.lost_bytes += len(data)
                else:
                    sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()

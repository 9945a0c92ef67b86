"""Logging of the server processes, on the standard library's loggers: fields, levels, repeated lines, the file.

Modules write ``log_event(log, logging.INFO, "leader changed", region_id=7, term=9)``. The line is formatted at once and
written by a thread of its own: a slow disk never holds up the event loop. When the thread is too far behind, lines are
dropped and counted, and the log says so.

One spelling per field (tests/tidy holds the code to this table):

    address             host:port that a process serves, or that a call went to
    change              what an operator of PD changes
    cluster_id          the cluster
    count               how many of what the message names
    error               what went wrong, as text
    exit_status         status the process ends with
    file                a path
    index               position in a region's Raft log
    key                 a key, as a Python bytes literal
    leader_id           peer that leads the region; 0: none known
    level               a log level
    limit               the bound that was reached
    message_type        kind of a Raft message
    method              gRPC method or HTTP path
    operator            name of an operator of PD
    peer_address        host:port for Raft traffic between stores
    peer_id             replica of a region
    range               keys [start, end) of a region
    reason              why, in words
    region_id           region
    region_ids          several regions
    regions             how many regions
    scheduler           name of a scheduler of PD
    setting             configuration key
    signal              name of a Unix signal
    size_bytes          size of what the message names
    stack               stack of an exception
    status_address      host:port of the HTTP status server
    store_id            store
    suppressed          like lines left out since the last one (once_per)
    sync                how the WAL is synced: inline or thread
    term                Raft term
    took_ms             how long it took
    version             version of the software
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, TextIO

from flaredb.model.errors import ConfigError
from flaredb.rpc.log_event import log_event as log_event
from flaredb.server.log_format import LEVEL_NAMES, TRACE, JsonFormatter, TextFormatter

LEVELS = {name.lower(): number for number, name in LEVEL_NAMES.items()}
"""Level names of settings and of PUT /log-level, and their numbers."""

PENDING_CHARACTERS_MAX = 4 * 1024 * 1024
FLUSH_SECONDS_MAX = 2.0
_REPEATED_KINDS_MAX = 1024

_OURS = "flaredb"
_active: BufferedHandler | None = None


def setup_logging(
    level: str, file: str | None = None, format: str = "text", stream: TextIO | None = None
) -> BufferedHandler:
    """Send all logging of this process to ``file`` (appended), else to ``stream``, else to standard error.

    ``level`` (one of LEVELS) holds for FlareDB's loggers; of libraries nothing below a warning is shown. A second call
    replaces the first. ``format`` is "text" or "json".

    Errors: ConfigError naming the setting for a level or format that does not exist and a file that cannot be opened.
    """
    global _active
    _check_choice("log.level", level, LEVELS)
    formatters: dict[str, Callable[[], logging.Formatter]] = {"text": TextFormatter, "json": JsonFormatter}
    _check_choice("log.format", format, formatters)
    handler = BufferedHandler(_open(file) if file else stream or sys.stderr, owns_stream=bool(file))
    handler.setFormatter(formatters[format]())
    root = logging.getLogger()
    if _active is not None:
        root.removeHandler(_active)
        _active.close()
    _active = handler
    root.addHandler(handler)
    logging.captureWarnings(True)
    set_level(level)
    return handler


def set_level(level: str) -> None:
    """Change the level while the process runs. Errors: ConfigError for a name that is no level."""
    _check_choice("log.level", level, LEVELS)
    logging.getLogger(_OURS).setLevel(LEVELS[level])
    logging.getLogger().setLevel(max(LEVELS[level], logging.WARNING))


class once_per:  # noqa: N801 - reads as a phrase where it is used
    """Holds back lines that repeat: of like ones, at most one in ``seconds``; the next tells how many were left out.

        unreached = once_per(10, by=("store_id",))
        unreached.log(log, logging.WARNING, "store unreached", store_id=2)

    Lines are alike if message and the values of the fields named in ``by`` are equal. The number of kinds remembered is
    bounded; the oldest are forgotten first.
    """

    def __init__(self, seconds: float, by: tuple[str, ...] = (), now_s: Callable[[], float] = time.monotonic) -> None:
        self._interval_s = seconds
        self._by = by
        self._now_s = now_s
        self._kinds: dict[tuple[Any, ...], tuple[float, int]] = {}
        """(when the next line may be written, lines left out since the last)."""

    def log(self, logger: logging.Logger, level: int, message: str, **fields: Any) -> None:
        """Like log_event, but not every time."""
        if not logger.isEnabledFor(level):
            return
        kind = (message, *(fields.get(name) for name in self._by))
        now_s = self._now_s()
        next_s, suppressed = self._kinds.pop(kind, (now_s, 0))
        if now_s < next_s:
            self._kinds[kind] = (next_s, suppressed + 1)
            return
        while len(self._kinds) >= _REPEATED_KINDS_MAX:
            del self._kinds[next(iter(self._kinds))]
        self._kinds[kind] = (now_s + self._interval_s, 0)
        if suppressed:
            fields["suppressed"] = suppressed
        logger.log(level, "%s", message, extra={"fields": fields}, stacklevel=2)


class BufferedHandler(logging.Handler):
    """Formats in the caller's thread, writes in its own.

    Invariant: at most PENDING_CHARACTERS_MAX characters wait or are being written; what does not fit is counted in
    ``dropped`` and never waited for.
    """

    def __init__(
        self, stream: TextIO, owns_stream: bool = False, pending_characters_max: int = PENDING_CHARACTERS_MAX
    ) -> None:
        super().__init__()
        self.dropped = 0
        """Lines lost since the start, because the queue was full or the stream refused them."""
        self._stream = stream
        self._owns_stream = owns_stream
        self._pending_characters_max = pending_characters_max
        self._pending: list[str] = []
        self._pending_characters = 0
        self._dropped_told = 0
        self._is_closing = False
        lock = threading.Lock()
        self._work_came = threading.Condition(lock)
        self._work_done = threading.Condition(lock)
        self._thread = threading.Thread(target=self._write_all, name="flaredb-log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the record's line, or count it as dropped."""
        try:
            line = self.format(record) + "\n"
        except Exception:
            self.handleError(record)
            return
        with self._work_came:
            if self._is_closing or self._pending_characters + len(line) > self._pending_characters_max:
                self.dropped += 1
                return
            self._pending.append(line)
            self._pending_characters += len(line)
            self._work_came.notify()

    def flush(self) -> None:
        """Wait until everything queued so far is written, for FLUSH_SECONDS_MAX at most."""
        with self._work_done:
            self._work_done.wait_for(lambda: not self._pending_characters, FLUSH_SECONDS_MAX)

    def close(self) -> None:
        """Write what is queued, end the thread, close the file."""
        with self._work_came:
            self._is_closing = True
            self._work_came.notify()
        self._thread.join(FLUSH_SECONDS_MAX)
        if self._owns_stream and not self._thread.is_alive():
            self._stream.close()
        super().close()

    def _write_all(self) -> None:
        while True:
            with self._work_came:
                self._work_came.wait_for(lambda: self._pending or self._is_closing)
                if not self._pending:
                    return
                lines, self._pending = self._pending, []
                dropped = self.dropped
            self._write(lines, dropped)
            with self._work_done:
                self._pending_characters -= sum(map(len, lines))
                self._work_done.notify_all()

    def _write(self, lines: list[str], dropped: int) -> None:
        text = "".join(lines)
        if dropped > self._dropped_told:
            text += self._drop_notice(dropped - self._dropped_told)
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self.dropped += len(lines)
        else:
            self._dropped_told = dropped

    def _drop_notice(self, count: int) -> str:
        record = logging.LogRecord(
            __name__, logging.WARNING, __file__, 0, "lines were dropped: the log is written too slowly", None, None
        )
        record.fields = {"count": count}
        return self.format(record) + "\n"


def _open(file: str) -> TextIO:
    try:
        return open(file, "a", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise ConfigError(f"cannot write the log to {file} (log.file.filename): {error.strerror}") from error


def _check_choice(setting: str, value: str, choices: Any) -> None:
    if value not in choices:
        raise ConfigError(f'{setting} = "{value}" is not allowed: it must be one of {", ".join(choices)}')


logging.addLevelName(TRACE, "TRACE")

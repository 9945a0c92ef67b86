"""``flaredb kv import``: the pairs of a file, written in batches, some at a time.

What is written is a matter of order: the command knows a line up to which everything is on disk, tells it when
something goes wrong, and goes on from there with --skip.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import click

from flaredb.cli.exits import EXIT_FAILURE
from flaredb.cli.kv.calls import Call, check_may_read_stdin, data_command
from flaredb.cli.kv.formats import FORMATS, LINE_BYTES_MAX, BadLine, Entry, format_of, read_entries
from flaredb.cli.kv.progress import Progress
from flaredb.model.errors import FlareDBError

BATCH_PAIRS = 512
BATCH_BYTES = 256 * 1024
"""A batch ends with the pair that reaches either."""

BATCHES_AT_ONCE = 8


@data_command("import", is_bulk=True)
@click.argument("name", metavar="FILE")
@click.option("--format", "form", type=click.Choice(FORMATS), help="of the file  [default: as its name ends]")
@click.option("--skip", type=click.IntRange(min=0), default=0, metavar="N", help="leave out the first N lines")
@click.option("--plain", is_flag=True, help="take texts as they stand: hex:, b64: and b'..' mean nothing")
@click.option("--dry-run", is_flag=True, help="read everything, write nothing")
async def import_(call: Call, name: str, form: str | None, skip: int, plain: bool, dry_run: bool) -> int | None:
    """Write the pairs of a csv or jsonl file; "-" is standard input.

    Columns, or fields of an object a line: key and value, as keys are written; or key_hex and value_hex. A csv may
    begin with a line of headings. Writing the same file again does no harm. After an error the line is told up to which
    everything was written; go on from there by --skip.
    """
    if name == "-":
        check_may_read_stdin(call.session)
    chosen = "jsonl" if name == "-" and form is None else format_of(name, form)
    with _opened(name) as (file, size_bytes):
        source = _Counted(file)
        verb = "read" if dry_run else "imported"
        with Progress(verb, "pair", size_bytes) as progress:
            writing = _Writing(call, dry_run, skip)
            try:
                for entry in read_entries(source, chosen, plain, skip):
                    await writing.add(entry)
                    if not writing.taken % BATCH_PAIRS:
                        progress.tell(writing.written, source.bytes_read)
                await writing.end()
            except (FlareDBError, OSError) as error:
                await writing.give_up()
                what = "standard input" if name == "-" else name
                _tell(f"{what}{', ' if isinstance(error, BadLine) else ': '}{error}")
                _tell_reached(writing, progress)
                return EXIT_FAILURE
            except asyncio.CancelledError:
                writing.count_done()
                _tell_reached(writing, progress)
                raise
            finally:
                await writing.cancel()
        call.session.show(
            {"pairs": writing.written, "lines": source.lines_read, "seconds": round(progress.took_s, 3)},
            progress.summary(writing.written),
        )
    return None


def _tell_reached(writing: _Writing, progress: Progress) -> None:
    if not writing.dry_run:
        done = f"every pair up to line {writing.line_done:,} is written" if writing.written else "nothing was written"
        _tell(f"{done}; go on with --skip {writing.line_done}")
    _tell(progress.summary(writing.written))


def _tell(sentence: str) -> None:
    click.echo(f"flaredb: {sentence}", err=True)


@dataclass(slots=True)
class _Batch:
    last_line: int
    count: int
    keys: set[bytes]
    task: asyncio.Task[None]


@dataclass(slots=True)
class _Writing:
    """Batches under way, oldest first.

    Invariants: at most BATCHES_AT_ONCE of them; no key is in two, so a later line wins over an earlier one.
    """

    call: Call
    dry_run: bool
    line_done: int
    """Everything up to this line is written."""

    written: int = 0
    taken: int = 0
    _pairs: dict[bytes, bytes] = field(default_factory=dict)
    _pairs_count: int = 0
    _pairs_bytes: int = 0
    _last_line: int = 0
    _batches: deque[_Batch] = field(default_factory=deque)

    async def add(self, entry: Entry) -> None:
        """Take a pair; waits while enough is under way. Errors: of a batch that is under way."""
        self._pairs[entry.key] = entry.value
        self._pairs_count += 1
        self._pairs_bytes += len(entry.key) + len(entry.value)
        self._last_line = entry.line
        self.taken += 1
        if self._pairs_count >= BATCH_PAIRS or self._pairs_bytes >= BATCH_BYTES:
            await self._begin()

    async def end(self) -> None:
        """Write what is left. Errors: of any batch."""
        if self._pairs_count:
            await self._begin()
        while self._batches:
            await self._finish_oldest()

    async def give_up(self) -> None:
        """Something is wrong: write what stands before it, as far as that goes."""
        with contextlib.suppress(FlareDBError):
            await self.end()

    async def cancel(self) -> None:
        """Nobody waits for the rest."""
        tasks = [batch.task for batch in self._batches]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _begin(self) -> None:
        keys = set(self._pairs)
        while len(self._batches) >= BATCHES_AT_ONCE or any(not keys.isdisjoint(item.keys) for item in self._batches):
            await self._finish_oldest()
        task = asyncio.create_task(self._write(self._pairs))
        self._batches.append(_Batch(self._last_line, self._pairs_count, keys, task))
        self._pairs = {}
        self._pairs_count = self._pairs_bytes = 0

    async def _finish_oldest(self) -> None:
        batch = self._batches[0]
        await batch.task
        self._pop_oldest()

    def count_done(self) -> None:
        """Count the batches that are written by now, up to the first that is not."""
        while (
            self._batches and (task := self._batches[0].task).done() and not task.cancelled() and not task.exception()
        ):
            self._pop_oldest()

    def _pop_oldest(self) -> None:
        batch = self._batches.popleft()
        self.line_done = batch.last_line
        self.written += batch.count

    async def _write(self, pairs: dict[bytes, bytes]) -> None:
        if not self.dry_run:
            await self.call.db.put_many(pairs, idempotent=True, **self.call.options)


@contextlib.contextmanager
def _opened(name: str) -> Iterator[tuple[BinaryIO, int]]:
    """A file, and its size in bytes, 0 if that is not known."""
    if name == "-":
        yield sys.stdin.buffer, 0
        return
    with open(name, "rb") as file:
        yield file, os.fstat(file.fileno()).st_size


class _Counted(Iterator[bytes]):
    """The lines of a file, counted. Errors: BadLine for one that is too long to be read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.bytes_read = 0
        self.lines_read = 0

    def __next__(self) -> bytes:
        line = self._file.readline(LINE_BYTES_MAX)
        if not line:
            raise StopIteration
        self.lines_read += 1
        self.bytes_read += len(line)
        if len(line) == LINE_BYTES_MAX:
            raise BadLine(self.lines_read, f"longer than {LINE_BYTES_MAX:,} bytes")
        return line

"""Writes docs/configuration.md and docs/errors.md from the code: python scripts/gen_docs.py [--check]."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from flaredb.client import backoff
from flaredb.client import errors as client_errors
from flaredb.client.limits import ClientOptions
from flaredb.model import errors, units
from flaredb.model.outcomes import Cause
from flaredb.server import profiles, settings
from flaredb.server.toml_file import Section, allowed, toml_key
from flaredb.wire.errors import member_of

DOCS = Path(__file__).resolve().parents[1] / "docs"


def table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    """A Markdown table; bars within cells are escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines) + "\n"


def notes_of(kind: type) -> dict[str, str]:
    """The docstrings below a class's attributes, by attribute."""
    body = ast.parse(inspect.getsource(kind)).body[0]
    assert isinstance(body, ast.ClassDef)
    notes = {}
    for field, below in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            assert isinstance(below.value, ast.Constant)
            notes[field.target.id] = one_line(below.value.value)
    return notes


def one_line(text: str | None) -> str:
    """A docstring as one line of Markdown."""
    return re.sub(r"``([^`]*)``", r"`\1`", " ".join((text or "").split()))


def first_paragraph(kind: type) -> str:
    """The first paragraph of a class's docstring, as one line."""
    return one_line(inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0])


def shown(name: str, value: Any) -> str:
    """A default as it is written in the file."""
    if name.endswith("_ms"):
        return f'`"{units.format_duration(value)}"`'
    if name.endswith("_bytes"):
        return f'`"{units.format_size(value)}"`'
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return "`[" + ", ".join(f'"{item}"' for item in value) + "]`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


def setting_tables(kind: type[Section], path: str = "") -> Iterator[str]:
    """A heading, an introduction and a table for a section and for each below it."""
    infos = msgspec.structs.fields(kind)
    plain = [info for info in infos if not is_section(info.type)]
    notes = notes_of(kind)
    if plain:
        yield f"### {f'[{path}]' if path else 'Above all sections'}\n\n"
        _, _, about = first_paragraph(kind).partition(": ")
        if about and path:
            yield about[0].upper() + about[1:] + "\n\n"
        yield table(
            ("key", "default", "allowed", "meaning"),
            (
                (
                    f"`{toml_key(info.name)}`",
                    shown(info.name, default_of(info)),
                    allowed(info.name, info.type),
                    notes.get(info.name, ""),
                )
                for info in plain
            ),
        )
    for info in infos:
        if is_section(info.type):
            yield from setting_tables(info.type, f"{path}.{toml_key(info.name)}" if path else toml_key(info.name))


def default_of(info: msgspec.structs.FieldInfo) -> Any:
    """The default of a field, made if it has to be."""
    return info.default if info.default_factory is msgspec.NODEFAULT else info.default_factory()


def is_section(kind: Any) -> bool:
    """True if a field is a section of its own."""
    return isinstance(kind, type) and issubclass(kind, Section)


def profile_rows() -> Iterator[Sequence[str]]:
    """Every value that a profile sets."""
    for name, tables in profiles.PROFILES.items():
        for section, values in tables.items():
            for key, value in values.items():
                yield f"`{name}`", f"`{section}.{key}`", f"`{value}`"


def configuration() -> str:
    """docs/configuration.md."""
    return CONFIGURATION.format(
        store="".join(setting_tables(settings.StoreSettings)),
        profiles=table(("profile", "key", "value"), profile_rows()),
        pd="".join(setting_tables(settings.PdSettings)),
        client=table(("option", "default", "meaning"), client_rows()),
    )


def client_rows() -> Iterator[Sequence[str]]:
    """Every option of a client."""
    notes = notes_of(ClientOptions)
    for field in fields(ClientOptions):
        yield f"`{field.name}`", f"`{field.default!r}`", notes[field.name]


def public_classes(module: ModuleType, root: type) -> list[type]:
    """The classes that a module defines below ``root``, in the order of the file."""
    found = [kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, root)]
    return [kind for kind in found if kind.__module__ == module.__name__ and kind is not root]


def yes(flag: bool) -> str:
    """A flag as a cell."""
    return "yes" if flag else "no"


def client_error_rows() -> Iterator[Sequence[str]]:
    """What the client raises."""
    for kind in public_classes(client_errors, client_errors.ClientError):
        whole = one_line(inspect.cleandoc(kind.__doc__ or ""))
        yield (
            f"`{kind.__name__}`",
            f"`{kind.__bases__[0].__name__}`",
            yes(kind.retryable),
            yes(kind.undetermined),
            whole,
        )


def region_error_rows() -> Iterator[Sequence[str]]:
    """What stores answer in `region_error`."""
    for kind in public_classes(errors, errors.RegionError):
        yield f"`{kind.__name__}`", f"`{member_of(kind) or 'message'}`", yes(kind.retryable), first_paragraph(kind)


def cause_rows() -> Iterator[Sequence[str]]:
    """What the client does about each cause."""
    for cause in Cause:
        rule = backoff.RULES[cause]
        wait = f"{rule.wait_ms_min} to {rule.wait_ms_max} ms" if rule.wait_ms_max else "does not try again"
        if rule.first_is_free:
            wait = f"none, then {wait}"
        where = "fails" if rule.ends else rule.where.value
        if rule.unknown:
            where += "; a write ends as undetermined, unless it is idempotent"
        yield f"{cause.value}", where, wait


def error_reference() -> str:
    """docs/errors.md."""
    return ERRORS.format(
        client=table(("error", "is a", "retryable", "undetermined", "meaning"), client_error_rows()),
        region=table(("error", "member", "retryable as it is", "meaning"), region_error_rows()),
        causes=table(("cause", "next try", "wait"), cause_rows()),
        exits=table(("exit status", "meaning", "what to do"), iter(EXITS)),
    )


EXITS: tuple[Sequence[str], ...] = (
    ("0", "done, or stopped as asked", ""),
    ("1", "failure: the last line of standard error says what", "as the line says"),
    ("2", "wrong usage, or a setting that cannot work", "as the line says; `flaredb config check FILE`"),
    ("3", "the answer is no: the key has no value, or not the one expected", ""),
    (
        "65",
        "a record on the store's disk cannot be read: the line names it",
        "the other replicas have the data: let PD replace the store, and start a new one with an empty directory",
    ),
    ("70", "an invariant was broken: a bug", "keep the log and the data directory, and report it"),
    (
        "74",
        "the storage engine failed: the disk is full, or reported an error",
        "mend the disk, start again; nothing acknowledged is lost",
    ),
    ("128 + n", "ended by signal n", ""),
)

CONFIGURATION = """\
<!-- Made by scripts/gen_docs.py from the code: change the code's docstrings and run the script. -->

# Settings

Every setting of a store and of PD. They are read from TOML (`flaredb server --config FILE`, `flaredb pd ...`).
A flag wins over the file, the file over its profile, the profile over the default. Keys are TiKV's and PD's where the
meaning is the same. A key that is not listed is refused with the nearest that is. `flaredb config check FILE` says what
is wrong with a file, `flaredb config show --diff` what differs from the defaults, and `GET /config` on a store's status
address what is in force.

Durations are texts such as `"10s"` or `"500ms"`, sizes such as `"8MiB"`.

## A store

{store}### Profiles

A profile is a set of values by name, under what the file and the flags say: `profile = "tikv"` or `--profile tikv`.
`default` sets nothing.

{profiles}## PD

{pd}## The Python client

`flaredb.connect(..., options=flaredb.ClientOptions(...))`; see the [guide](client.md#connect).

{client}"""

ERRORS = """\
<!-- Made by scripts/gen_docs.py from the code: change the code's docstrings and run the script. -->

# Errors

Every error says what is wrong and what to change. This page lists what there is: what the Python client raises, what
stores answer to any client, what our client does about it, and how processes end.

## What the Python client raises

All are `flaredb.errors.ClientError`; each has `.retryable`, `.undetermined`, `.key`, `.region_id` and `.history`. A
TypeError or ValueError is raised for arguments that can never work, before anything is sent.

{client}## What stores answer

A region error means that the request was **not** applied, and will not be; `UndeterminedResult` is the exception.
*Member* is the field of `errorpb.Error` that is set, beside the message.

{region}A request that is wrong in itself is answered in the response's `error` text; what is not built answers with the
gRPC status UNIMPLEMENTED, a request for another cluster with FAILED_PRECONDITION.

## What the Python client does about it

One deadline stands over all tries of a call. *Wait* grows from the first to the second figure, doubling, with chance
in its upper half.

{causes}## How processes end

{exits}"""

PAGES: dict[str, Callable[[], str]] = {"configuration.md": configuration, "errors.md": error_reference}


def main() -> int:
    """Write the pages, or with --check say which are out of date."""
    if "--check" in sys.argv:
        stale = [name for name, made in PAGES.items() if (DOCS / name).read_text(encoding="utf-8") != made()]
        if stale:
            print(f"run scripts/gen_docs.py: out of date are {', '.join(stale)}")
        return int(bool(stale))
    for name, made in PAGES.items():
        (DOCS / name).write_text(made(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""House rules that no linter knows. A failure lists every place, so that one run is enough to mend them all."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.tidy.sources import CORES, PACKAGE, calls, of_rooms, parsed, place, written

LINES_MAX = 600
LONGER_FILES = {
    "tests/raft/test_paper.py": "one test for each rule of the Raft paper, in the paper's order",
}
"""file -> why it is longer than LINES_MAX and better so."""

NOT_IN_CORES = {
    "asyncio": "a core never waits",
    "concurrent": "a core has one thread",
    "datetime": "times are arguments, in integer milliseconds",
    "grpc": "a core does no I/O",
    "multiprocessing": "a core has one thread",
    "secrets": "chance is an argument (random.Random)",
    "socket": "a core does no I/O",
    "subprocess": "a core does no I/O",
    "threading": "a core has one thread",
    "time": "times are arguments, in integer milliseconds",
    "uuid": "chance is an argument (random.Random)",
}
LOGS = PACKAGE / "server" / "logs.py"
LOG_EVENT = PACKAGE / "rpc" / "log_event.py"
DOCUMENTED = ("model", "raft", "store", "pd", "client")

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def test_every_package_says_what_it_is_for() -> None:
    packages = [file for file in written("src/flaredb") if file.name == "__init__.py"]
    assert packages
    assert not [place(file, 1) for file in packages if not ast.get_docstring(parsed(file))]


def test_every_module_says_what_it_is_for() -> None:
    assert not [place(file, 1) for file in written("src/flaredb") if not ast.get_docstring(parsed(file))]


def test_files_are_short() -> None:
    lengths = {
        place(file, 1): len(file.read_text().splitlines()) for file in written("src", "tests", "scripts", "bench")
    }
    long = {where: length for where, length in lengths.items() if length > LINES_MAX}
    assert not {where: length for where, length in long.items() if where.rpartition(":")[0] not in LONGER_FILES}
    assert not set(LONGER_FILES) - {where.rpartition(":")[0] for where in long}, (
        "exceptions that are not needed any more"
    )


def test_only_the_command_line_prints() -> None:
    assert not [
        place(file, call.lineno)
        for file in written("src/flaredb")
        if PACKAGE / "cli" not in file.parents
        for call in calls(file)
        if isinstance(call.func, ast.Name) and call.func.id == "print"
    ]


def test_nothing_is_left_for_later() -> None:
    mark = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
    assert not [
        place(file, number)
        for file in written("src", "tests", "scripts", "bench")
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if mark.search(line)
    ]


def test_public_names_of_the_cores_are_documented() -> None:
    files = [*of_rooms(*DOCUMENTED), PACKAGE / "engine" / "base.py"]
    undocumented = [where for file in files for where in _undocumented(file)]
    assert not undocumented, "\n".join(["public names without a docstring:", *undocumented])


def _undocumented(file: Path) -> Iterator[str]:
    for name, node in _public(parsed(file).body, ""):
        if not ast.get_docstring(node):
            yield f"{place(file, node.lineno)} {name}"


def _public(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, Definition]]:
    for node in body:
        if not isinstance(node, Definition) or node.name.startswith("_"):
            continue
        yield prefix + node.name, node
        if isinstance(node, ast.ClassDef):
            yield from _public(node.body, f"{node.name}.")


def test_cores_have_no_clock_no_chance_and_no_threads() -> None:
    found = [problem for file in of_rooms(*CORES) for problem in _forbidden(file)]
    assert not found, "\n".join(found)


def _forbidden(file: Path) -> Iterator[str]:
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.Import):
            names = [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [(node.module, alias.name) for alias in node.names]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("random", "os"):
            names = [(node.value.id, node.attr)]
        else:
            continue
        for module, name in names:
            why = NOT_IN_CORES.get(module.partition(".")[0]) or _global_chance(module, name)
            if why:
                yield f"{place(file, node.lineno)} {module}{'.' + name if name else ''}: {why}"


def _global_chance(module: str, name: str) -> str:
    if (module == "random" and name not in ("", "Random")) or (module, name) == ("os", "urandom"):
        return "chance is an argument (random.Random)"
    return ""


def test_log_fields_have_one_spelling() -> None:
    known = _documented_fields()
    used = [use for file in written("src/flaredb") for use in _fields_used(file)]
    assert len(used) > 10
    assert not [f"{where} {name}" for name, where in used if name not in known], (
        "these log fields are not in the table at the top of server/logs.py: use a name from there, or add one"
    )


def test_the_table_of_log_fields_is_sorted() -> None:
    names = _documented_fields()
    assert names == sorted(set(names))


def _documented_fields() -> list[str]:
    text = ast.get_docstring(parsed(LOGS)) or ""
    return re.findall(r"^    ([a-z][a-z_]*) {2,}\S", text, re.MULTILINE)


def _fields_used(file: Path) -> Iterator[tuple[str, str]]:
    """(field, place) of calls of log_event, of once_per's log, and of the cores' _note."""
    own = {"level", "by", "seconds"}
    for call in calls(file):
        called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if called == "log_event" or (called == "log" and len(call.args) == 3 and file not in (LOGS, LOG_EVENT)):
            yield from ((key.arg, place(file, key.value.lineno)) for key in call.keywords if key.arg)
        elif called == "_note":
            yield from (
                (key.arg, place(file, key.value.lineno)) for key in call.keywords if key.arg and key.arg not in own
            )
        elif called == "Note":
            yield from ((name, place(file, call.lineno)) for name in _names_of_pairs(call))


def _names_of_pairs(call: ast.Call) -> Iterator[str]:
    """The names in Note(event, (("region_id", 7), ...)) where they are written out."""
    for node in ast.walk(call):
        if isinstance(node, ast.Tuple) and len(node.elts) == 2:
            first = node.elts[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value

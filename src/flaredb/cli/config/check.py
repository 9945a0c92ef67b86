"""``flaredb config check``."""

from __future__ import annotations

from pathlib import Path

import click

from flaredb.cli.exits import EXIT_DONE, EXIT_USAGE


@click.command("check")
@click.argument("files", metavar="FILE...", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option(
    "--for", "kind", type=click.Choice(("store", "pd")), help="whose files they are  [default: by their keys]"
)
def check(files: tuple[Path, ...], kind: str | None) -> int:
    """Whether files are right: every key known, every value allowed, no two in contradiction.

    Exit status 2 if one is not; the first thing to change is told on standard error.
    """
    from flaredb.cli.config.kinds import NAMES, kinds_of, load
    from flaredb.model.errors import ConfigError

    status = EXIT_DONE
    for path in files:
        try:
            if kind is None:
                kinds = kinds_of(path)
            else:
                load(kind, path)
                kinds = [kind]
        except ConfigError as error:
            click.echo(f"flaredb: {error}", err=True)
            status = EXIT_USAGE
        else:
            click.echo(f"{path}: right for {' and for '.join(NAMES[name] for name in kinds)}")
    return status

"""``python -m flaredb``: the same as the ``flaredb`` command."""

from flaredb.cli.main import main

if __name__ == "__main__":
    main()

"""The rim: the processes that perform what the cores ask for. Sockets, threads, clocks and files live here."""

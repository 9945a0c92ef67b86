"""Exit statuses of every command (contract: contracts/cli.md). Servers have a few more: cli/serving.py."""

from __future__ import annotations

EXIT_DONE = 0
"""What was asked for was done."""

EXIT_FAILURE = 1
"""It was not done, or only in part, or nobody knows: the message on standard error says which."""

EXIT_USAGE = 2
"""The command line or a configuration is wrong; nothing was tried."""

EXIT_NO = 3
"""The question was answered, and the answer is no: the key has no value, the value was not the expected one."""

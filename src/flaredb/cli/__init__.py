"""The flaredb command. Every heavy import happens inside the command that needs it."""

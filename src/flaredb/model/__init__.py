"""What things are: ids, regions, keys, commands, errors, limits. Standard library only."""

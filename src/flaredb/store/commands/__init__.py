"""What is replicated through a region's log: one file per operation, in the order it happens."""

"""What could be better in the cluster: schedulers look at all stores and return operators, and say in words why not."""

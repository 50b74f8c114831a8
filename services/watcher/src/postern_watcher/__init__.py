"""The watcher, Postern's eyes: derives each database's state from the cluster and announces every transition once."""

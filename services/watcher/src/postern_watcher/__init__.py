"""The watcher, Postern's eyes: it derives each database's state from the cluster and announces every transition once."""

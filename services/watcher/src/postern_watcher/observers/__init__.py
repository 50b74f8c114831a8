"""Where the cluster is observed: sinks of the four watches, and the session that runs them."""

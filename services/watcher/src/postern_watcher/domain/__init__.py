"""What a cluster's objects mean: pure functions over reduced facts, no I/O."""

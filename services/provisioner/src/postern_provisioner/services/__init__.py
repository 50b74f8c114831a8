"""What the provisioner decides: receiving commands, reconciling targets, repairing drift, answering for connections."""

"""Rules of the provisioner without I/O: targets, retries, images, switchovers, addresses, drift."""

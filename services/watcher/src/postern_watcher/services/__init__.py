"""What the watcher decides and when: sightings in memory, transitions in the database, leadership."""

"""``demo``: the main job of Postern, done by a client that knows nothing but the address and a token."""

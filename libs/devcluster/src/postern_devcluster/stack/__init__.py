"""``postern-stack``: everything that Postern needs on one machine, as detached processes below one state directory.

Separate from the servers it starts and from the development cluster: it only knows how to start, look at and stop them.
"""

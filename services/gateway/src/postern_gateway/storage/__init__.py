"""What the gateway keeps and whom it asks: rows of schema ``gateway``, and the two internal HTTP services.

Translates, never decides.
"""

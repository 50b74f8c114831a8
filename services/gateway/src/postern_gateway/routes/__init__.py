"""The HTTP surface: each route parses, calls one service, translates."""

"""Access to the Kubernetes API: credentials, paths, errors with a meaning, server-side apply, list and watch.

Separate because it is the only place that imports kubernetes_asyncio, and only for configuration, authentication and
the HTTP session: its own watch and its response mapping have faults that Postern cannot live with (docs/adr/0005).
"""

"""Loopback addresses of pods and services, and the proxies that stand for Services."""

"""Counts failed requests behind real proxies; see ../README.md."""

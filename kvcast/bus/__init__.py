"""Redis, the cache and the messenger: it may be lost at any time without losing a value.

Driver exceptions never leave it.
"""

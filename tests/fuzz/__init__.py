"""Hostile input by the thousand: `make fuzz`. A short run of it, and all that was ever found, is in `make test`."""

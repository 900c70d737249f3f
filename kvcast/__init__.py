"""kvcast: a key-value store whose every change reaches every browser that watches it."""

__version__ = "0.1.0"

"""A steady load that records everything: `python -m tests.checker.load --help`."""

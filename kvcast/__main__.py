"""`python -m kvcast` is `kvcast`."""

import sys

from kvcast.cli import main

if __name__ == "__main__":
    sys.exit(main())

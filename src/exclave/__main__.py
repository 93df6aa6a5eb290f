"""`python -m exclave`."""

import sys

from exclave.cli import main

if __name__ == "__main__":
    sys.exit(main())

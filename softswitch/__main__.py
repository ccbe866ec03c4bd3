"""Start softswitch: `python -m softswitch`."""

import sys

from softswitch.cli import main

if __name__ == "__main__":
    sys.exit(main())

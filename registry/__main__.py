"""Runs the command line: ``python -m registry …``."""

import sys

from registry.entrypoints.cli import main

sys.exit(main())

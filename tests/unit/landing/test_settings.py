"""What a deployment sets about landings, read from a configuration file as Airflow reads it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_ltx.exceptions import ConfigurationError, DestinationError
from airflow_ltx.landing import filesystems, settings
from airflow_ltx.landing.destination import parse_destination
from airflow_ltx.operators._destination import wish_of

TELL = (
    "from airflow_ltx.landing import settings; "
    "from airflow_ltx.operators._destination import wish_of; "
    "from airflow_ltx.landing.destination import parse_destination; "
    "from airflow_ltx.triggers import landing; "
    "wish = wish_of(parse_destination('file:///v/'), {}); "
    "print('told', wish.max_bytes, landing._executor()._max_workers)"
)


def told(home: Path, options: str) -> str:
    home.mkdir(exist_ok=True)
    (home / "airflow.cfg").write_text(f"[core]\nload_examples = False\n{options}")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW__")}
    environment |= {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__UNIT_TEST_MODE": "False"}
    done = subprocess.run(
        [sys.executable, "-c", TELL], env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("told ")]
    return line.removeprefix("told ")


def test_a_deployments_file_says_how_large_and_how_many_at_once(tmp_path: Path) -> None:
    assert told(tmp_path / "none", "") == f"{2 * 1024**3} 4"
    options = "[segmind]\nmax_bytes = 5000\nlanding_concurrency = 7\n"
    assert told(tmp_path / "some", options) == "5000 7"


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_what_is_no_such_number_is_an_error_that_names_the_option(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("AIRFLOW__SEGMIND__MAX_BYTES", value)
    monkeypatch.setenv("AIRFLOW__SEGMIND__LANDING_CONCURRENCY", value)
    with pytest.raises(ConfigurationError, match=r"max_bytes of \[segmind\]"):
        wish_of(parse_destination("file:///v/"), {})
    with pytest.raises(ConfigurationError, match=r"landing_concurrency of \[segmind\]"):
        settings.landing_concurrency()


@pytest.mark.parametrize(
    ("uri", "extra"),
    [("s3://a@bucket/", "amazon"), ("gs://a@bucket/", "google"), ("abfs://a@bucket/", "microsoft-azure")],
)
def test_a_library_that_is_missing_is_named_by_its_extra(
    monkeypatch: pytest.MonkeyPatch, uri: str, extra: str
) -> None:
    # As where the provider is not installed, which has_fs() knows from its entry point.
    monkeypatch.setattr("airflow.sdk.io.has_fs", lambda scheme: False)
    with pytest.raises(DestinationError, match=f"airflow-provider-ltx\\[{extra}\\]") as caught:
        filesystems._build(parse_destination(uri))
    assert caught.value.retryable is False
    assert "workers and triggerers" in caught.value.message

"""Without a connection a test reaches no storage, whatever the machine it runs on knows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]

# A process as pytest's own becomes, in which every address that is looked up or connected to is told.
_BEGIN = """
import asyncio, json, sys
seen = set()
def told(event, arguments):
    if event == "socket.getaddrinfo":
        seen.add(str(arguments[0]))
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        seen.add(arguments[1][0])
sys.addaudithook(told)
import conftest
"""
_CREDENTIALS = """
import boto3, google.auth, google.auth.exceptions
found = {"aws": boto3.Session().get_credentials()}
try:
    found["google"] = google.auth.default()[0]
except google.auth.exceptions.DefaultCredentialsError:
    found["google"] = None
from adlfs import AzureBlobFileSystem
try:
    found["azure"] = AzureBlobFileSystem()
except ValueError:
    found["azure"] = None
print(json.dumps({"found": [name for name, it in found.items() if it is not None], "seen": sorted(seen)}))
"""
_ACCESS = """
# What cannot be reached is tried anew for half a minute.
pause = asyncio.sleep
asyncio.sleep = lambda seconds, *rest: pause(min(seconds, 0.01), *rest)
from airflow.sdk import ObjectStoragePath
outcomes = []
for uri in {uris}:
    for name, arguments in (("exists", ()), ("read_bytes", ()), ("write_bytes", (b"x",))):
        try:
            outcomes.append(repr(getattr(ObjectStoragePath(uri), name)(*arguments)))
        except Exception as error:
            outcomes.append(type(error).__name__)
print(json.dumps({{"outcomes": outcomes, "seen": sorted(seen)}}))
"""


def in_a_new_process(code: str, **environment: str) -> dict:
    paths = os.pathsep.join(map(str, (TESTS, TESTS.parent, TESTS.parent / "scripts")))
    done = subprocess.run(
        [sys.executable, "-c", _BEGIN + code],
        env={**os.environ, **environment, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def somebodys_machine(tmp_path):
    """The environment of a person who has all three clouds at hand."""
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(
        "[default]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = secret\n"
    )
    gcloud = tmp_path / ".config" / "gcloud"
    gcloud.mkdir(parents=True)
    user = {"type": "authorized_user", "client_id": "a", "client_secret": "b", "refresh_token": "c"}
    (gcloud / "application_default_credentials.json").write_text(json.dumps(user))
    return {
        "HOME": str(tmp_path),
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_ENDPOINT_URL_S3": "http://s3.example.com",
        "GOOGLE_APPLICATION_CREDENTIALS": str(gcloud / "application_default_credentials.json"),
        "AZURE_STORAGE_ACCOUNT_NAME": "somebody",
        "AZURE_STORAGE_ACCOUNT_KEY": "c2VjcmV0",
    }


def test_what_a_persons_machine_knows_is_not_found(somebodys_machine):
    assert in_a_new_process(_CREDENTIALS, **somebodys_machine)["found"] == []


@pytest.mark.parametrize(
    ("scheme", "errors"),
    [
        ("s3", {"NoCredentialsError", "EndpointConnectionError"}),
        ("gs", {"ClientConnectorError"}),
        ("abfs", {"ValueError"}),
    ],
)
def test_without_a_connection_nothing_but_loopback_is_asked(scheme, errors, somebodys_machine):
    uris = [f"{scheme}://bucket/name", f"{scheme}://no_such_connection@bucket/name"]
    answer = in_a_new_process(_ACCESS.format(uris=uris), **somebodys_machine)
    assert set(answer["outcomes"]) <= errors
    assert len(answer["outcomes"]) == 6
    assert set(answer["seen"]) <= {"127.0.0.1", "localhost"}

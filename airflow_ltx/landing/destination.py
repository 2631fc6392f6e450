"""Destinations as values: read, checked and named without touching a disk or a bucket."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Self

from airflow_ltx.exceptions import DestinationError
from airflow_ltx.landing.naming import NamedFile, check_placeholders, fill, numbered, pattern, safe

KINDS = {
    "file": "file",
    "s3": "s3",
    "s3a": "s3",
    "gs": "gs",
    "gcs": "gs",
    "abfs": "abfs",
    "abfss": "abfs",
}
"""The schemes that are landed to, and the storage that each stands for."""

_HOW = {
    "file": "file:///data/videos/",
    "s3": "s3://my_conn@bucket/videos/",
    "gs": "gs://my_conn@bucket/videos/",
    "abfs": "abfs://my_conn@container/videos/",
}
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,221}")
_CONN_ID = re.compile(r"[\w.()-]+")
_AZURE_HOST = (".dfs.core.windows.net", ".blob.core.windows.net")
_LONGEST_KEY = 800
"""Bytes. The shortest limit of the three is 1024, and a name and a record's folder come after it."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a file goes: a folder (``s3://conn@bucket/videos/``) or the file itself.

    :param scheme: As it was written, in lower case.
    :param path: Without the trailing slash of a folder: absolute for ``file``, else within the bucket. May
        hold the placeholders of :mod:`~airflow_ltx.landing.naming`.
    :param folder: The name is then made from the request id and the announced type.
    :param bucket: Bucket or container; empty for ``file``.
    :param conn_id: Airflow connection; None uses what the environment of the process offers.
    """

    scheme: str
    path: str
    folder: bool
    bucket: str = ""
    conn_id: str | None = None

    @property
    def kind(self) -> str:
        """Of the storage: ``file``, ``s3``, ``gs`` or ``abfs``."""
        return KINDS[self.scheme]

    @property
    def remote(self) -> bool:
        """Whether every machine reaches the same storage."""
        return self.kind != "file"

    @property
    def fixed(self) -> bool:
        """Whether every request's file would have the same name."""
        return not self.folder and "{" not in self.path

    @property
    def by_request(self) -> bool:
        """Whether a name tells the request that it is of."""
        return self.folder or "{request_id}" in self.path

    def known(self, model: str | None, media: str | None) -> str | None:
        """The path of a request's first file before there is one; None if that cannot be known.

        :param media: The kind that it must be. Videos are MP4 at this service.
        """
        told = {"request_id": None, "model": model, "number": "1", "ext": media if media == "video" else None}
        if self.folder or any(f"{{{name}}}" in self.path and not value for name, value in told.items()):
            return None
        return fill(self.path, NamedFile("", "video/mp4", "", model))

    @property
    def text(self) -> str:
        """As it may be written, but for the connection."""
        slash = "/" if self.folder and self.path not in ("", "/") else ""
        return f"{self.uri(self.path)}{slash}"

    @property
    def directory(self) -> str:
        """The folder of the record: the part of the path that is known before there is a request."""
        known, _, _ = self.path.partition("{")
        if known != self.path:
            return known.rpartition("/")[0]
        return self.path if self.folder else self.path.rpartition("/")[0]

    def file_for(self, file: NamedFile) -> str:
        """The path of one of a request's files."""
        return fill(self._name, file)

    def named(self, name: str) -> Self:
        """The same for a file of no known request, with a name in place of the request's id."""
        return replace(self, path=self._name.replace("{request_id}", safe(name)), folder=False)

    @property
    def _name(self) -> str:
        return _below(self.path, "{request_id}{ext}") if self.folder else self.path

    def uri(self, path: str) -> str:
        """What stands for a path in the return value: never with a connection."""
        return f"{self.scheme}://{self.bucket}/{path}" if self.remote else f"file://{path}"

    def path_of(self, uri: str) -> str | None:
        """The path of a URI that :meth:`uri` made; None if this destination would put no file there."""
        start = self.uri("")
        path = uri.removeprefix(start)
        if not uri.startswith(start):
            return None
        if self.folder:
            above, slash, name = path.rpartition("/")
            return path if name and re.fullmatch(pattern(self.path), above or slash) else None
        forms = (pattern(self.path), pattern(numbered(self.path)))
        return path if any(re.fullmatch(form, path) for form in forms) else None

    @classmethod
    def parse(cls, uri: str, conn_id: str | None = None) -> Self:
        """See :func:`parse_destination`."""
        text = str(uri).strip()
        shown = repr(_shown(text))
        scheme, separator, rest = text.partition("://")
        if not separator or not scheme:
            raise _malformed(f"{shown} is no URI: write {_HOW['file']} or {_HOW['s3']} instead")
        scheme = scheme.lower()
        _supported(scheme, text)
        if any(ord(c) < 32 or ord(c) == 127 for c in rest):
            raise _malformed(f"{shown} holds control characters")
        if any("\ud800" <= c <= "\udfff" for c in text):
            raise _malformed(f"{shown} holds halves of characters, which no name can be written with")
        segments = rest.split("/")
        if ".." in segments or segments[-1] == ".":
            raise _malformed(f"{shown} goes around with '.' or '..'; name the folder itself")
        check_placeholders(rest, shown)
        host, _, path = rest.partition("/")
        if KINDS[scheme] == "file":
            return cls._local(scheme, host, path, rest.endswith("/"), shown)
        return cls._remote(scheme, host, path, shown, conn_id)

    @classmethod
    def _local(cls, scheme: str, host: str, path: str, folder: bool, shown: str) -> Self:
        if host not in ("", "localhost"):
            raise _malformed(
                f"{shown} names a host; a path on this machine has three slashes, such as {_HOW['file']}"
            )
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if not parts and not folder:
            raise _malformed(f"{shown} names no folder")
        return cls(scheme=scheme, path="/" + "/".join(parts), folder=folder)

    @classmethod
    def _remote(cls, scheme: str, host: str, path: str, shown: str, conn_id: str | None) -> Self:
        conn, at, bucket = host.rpartition("@")
        kind = KINDS[scheme]
        if bucket.endswith(_AZURE_HOST):
            raise _malformed(
                f"{shown} names a storage account; that stands in the connection: write {_HOW['abfs']}"
            )
        if not _BUCKET.fullmatch(bucket):
            raise _malformed(f"{shown} names no bucket: write {_HOW[kind]}")
        if at and not _CONN_ID.fullmatch(conn):
            raise _malformed(f"{shown} has no connection id before the @: write {_HOW[kind]}")
        if at and conn_id is not None and conn_id != conn:
            raise _malformed(f"{shown} names another connection than destination_conn_id does")
        if "?" in path or "#" in path:
            raise _malformed(
                f"{shown} holds '?' or '#', which readers of the URI would take for something else"
            )
        if "//" in f"/{path}" or "." in path.split("/"):
            raise _malformed(f"{shown} has a folder without a name")
        if len(path.encode()) > _LONGEST_KEY:
            raise _malformed(f"{shown} is longer than {_LONGEST_KEY} bytes")
        return cls(
            scheme=scheme,
            path=path.rstrip("/"),
            folder=not path or path.endswith("/"),
            bucket=bucket,
            conn_id=conn if at else conn_id,
        )


def check_scheme(uri: str) -> None:
    """Check the scheme alone, where the rest is not known yet.

    :raises DestinationError: It is there, and none that this version lands to.
    """
    scheme, separator, _ = uri.strip().partition("://")
    if separator and "{" not in scheme:
        _supported(scheme.lower(), uri)


def parse_destination(uri: str, conn_id: str | None = None) -> Destination:
    """Read a destination.

    :param conn_id: ``destination_conn_id``; the URI may name it too.
    :raises DestinationError: Not retryable; says what is wrong and how it should look. Nothing was touched.
    """
    return Destination.parse(uri, conn_id)


def _below(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder not in ("", "/") else f"{folder}{name}"


def _supported(scheme: str, uri: str) -> None:
    if scheme not in KINDS:
        raise _malformed(
            f"{_shown(uri)!r} has the scheme {scheme!r}; this version lands to "
            f"{', '.join(f'{s}://' for s in KINDS)}"
        )


def _shown(uri: str) -> str:
    scheme, separator, rest = uri.rpartition("://")
    if scheme.lower() != "file":
        # A link to a bucket is signed in its query.
        rest = rest.partition("?")[0]
    # What stands before an @ is a connection id, or a mistake with a secret in it.
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def _malformed(why: str) -> DestinationError:
    error = DestinationError(f"Invalid destination: {why}. Nothing was written.")
    error.retryable = False
    return error

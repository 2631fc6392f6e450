"""Where the service lives, and which hosts may see the key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from airflow_ltx.exceptions import ConfigurationError

DEFAULT_BASE_URL = "https://api.segmind.com"
LONGEST_TIMEOUT = 3600.0
"""Seconds. No answer of the service is worth waiting longer for."""

SYNC_TIMEOUT = 180.0
"""Seconds for a synchronous run to answer. The service itself gives up after some 60 to 100 s."""

_PLAIN = re.compile(r"[!-~\u00a1-\U0010ffff]+")
"""No blanks and no control characters: an HTTP library takes no URL with them."""

_KEY_LIKE = re.compile(r"sg_[0-9a-z]{8,}", re.IGNORECASE)
_SEGMIND_HOST = "api.segmind.com"
_SEGMIND_HISTORY_URL = "https://api.spotprod.segmind.com"
_SEGMIND_UPLOAD_URL = "https://workflows-api.segmind.com"
_HISTORY = "/inference-request/request-history"


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """All that a client needs to know; hashable, so that clients can be shared by it.

    :param api_key: Sent as ``x-api-key`` to the three hosts below and nowhere else. Not in ``repr``.
    :param base_url: Normalised by :func:`normalise_base_url`.
    :param timeout: Seconds one answer may take to arrive (read and write); connecting has 5 s of its own.
    :param history_url: Where the request history is. Default: Segmind's own host for it if ``base_url`` is
        Segmind's, else ``base_url``.
    :param upload_url: Where files are uploaded to; default as for ``history_url``.
    :param requests_per_minute: The account's limit, which one process keeps to; None has it learned from
        refusals.
    :param allow_private_hosts: Files may be fetched from loopback and private addresses, too. They may in any
        case if the service itself is at one.
    """

    api_key: str = field(repr=False)
    base_url: str = DEFAULT_BASE_URL
    timeout: float = 30.0
    history_url: str | None = None
    upload_url: str | None = None
    requests_per_minute: int | None = None
    allow_private_hosts: bool = False

    def __post_init__(self) -> None:
        if not self.api_key or not self.api_key.strip():
            raise ConfigurationError(
                "No API key: put the Segmind API key into the password of the connection. Nothing was sent."
            )
        # A newline from a secret file is the usual accident; inside a header it would be an opaque error.
        key = self.api_key.strip()
        if not key.isascii() or any(c.isspace() or not c.isprintable() for c in key):
            raise ConfigurationError(
                "The API key holds characters that no HTTP header can carry (blanks, line breaks or "
                "non-ASCII letters). Paste it again. Nothing was sent."
            )
        object.__setattr__(self, "api_key", key)
        base = normalise_base_url(self.base_url)
        object.__setattr__(self, "base_url", base)
        own = urlsplit(base).hostname == _SEGMIND_HOST
        if own and base.startswith("http://"):
            raise ConfigurationError(
                "The base URL would send the API key to Segmind in clear: write https instead of http. "
                "Nothing was sent."
            )
        for name, segmind in (("history_url", _SEGMIND_HISTORY_URL), ("upload_url", _SEGMIND_UPLOAD_URL)):
            given = getattr(self, name)
            url = normalise_base_url(given, name) if given else (segmind if own else base)
            object.__setattr__(self, name, url)
        if not 0 < self.timeout <= LONGEST_TIMEOUT:
            raise ConfigurationError(
                f"timeout is {self.timeout!r}; it must be a number of seconds above 0 and up to "
                f"{LONGEST_TIMEOUT:.0f}. Nothing was sent."
            )
        if self.requests_per_minute is not None and self.requests_per_minute < 1:
            raise ConfigurationError(
                f"requests_per_minute is {self.requests_per_minute!r}; it must be 1 or more. Nothing was "
                "sent."
            )

    def submit_url(self, model: str) -> str:
        """URL of the paid call."""
        return f"{self.base_url}/v2/{quote(model, safe='')}"

    def status_url(self, request_id: str) -> str:
        """Built from the id: URLs in responses are never followed, so the key cannot be led astray."""
        return f"{self.base_url}/v2/requests/{quote(request_id, safe='')}/status"

    def result_url(self, request_id: str) -> str:
        """As :meth:`status_url`, for the full record."""
        return f"{self.base_url}/v2/requests/{quote(request_id, safe='')}"

    @property
    def credits_url(self) -> str:
        """Free of charge; runs no model."""
        return f"{self.base_url}/v1/get-user-credits"

    def sync_url(self, model: str) -> str:
        """URL of the paid call that answers with the file itself."""
        return f"{self.base_url}/v1/{quote(model, safe='')}"

    def history_page_url(self, query: Mapping[str, object]) -> str:
        """A page of the request history."""
        return f"{self.history_url}{_HISTORY}?{urlencode(query)}"

    def history_entry_url(self, request_id: str) -> str:
        """One request of the history."""
        return f"{self.history_url}{_HISTORY}/{quote(request_id, safe='')}"

    @property
    def upload_asset_url(self) -> str:
        """Takes files; free of charge."""
        return f"{self.upload_url}/upload-asset"


def normalise_base_url(url: str, name: str = "base URL") -> str:
    """Return ``scheme://host[:port][/prefix]`` without trailing slash or API version.

    ``https://`` is assumed where no scheme is given. A final ``/v1`` or ``/v2``, as other clients want it, is
    dropped; any other path is a prefix and stays.

    :param name: What an error calls it.
    :raises ConfigurationError: With userinfo, a query, a fragment, an unknown scheme or no host.
    """
    text = url.strip()
    if "://" not in text:
        text = f"https://{text}"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        # Python's reason quotes the part at fault, which may be a misplaced key.
        raise ConfigurationError(
            f"The {name} is malformed; it must look like {DEFAULT_BASE_URL}. Nothing was sent."
        ) from None
    if parts.username is not None or parts.password is not None:
        # Not quoted back: what stands before the @ may well be the key.
        raise ConfigurationError(
            f"The {name} holds user information before an '@'. The API key belongs into the password of the "
            "connection, the host alone into its host. Nothing was sent."
        )
    if parts.scheme not in ("http", "https") or not host or not _PLAIN.fullmatch(text):
        raise ConfigurationError(
            f"The {name} must look like {DEFAULT_BASE_URL}, with http or https and a host. Nothing was sent."
        )
    if _KEY_LIKE.fullmatch(host):
        # Not quoted back either, and not asked for: the resolver would be told the key.
        raise ConfigurationError(
            f"The {name} looks like an API key. The key belongs into the password of the connection. Nothing "
            "was sent."
        )
    if parts.query or parts.fragment:
        raise ConfigurationError(
            f"The {name} must have neither a query ('?...') nor a fragment ('#...'). Nothing was sent."
        )
    path = parts.path.rstrip("/")
    for version in ("/v1", "/v2"):
        path = path.removesuffix(version)
    netloc = f"[{host}]" if ":" in host else host
    if port is not None:
        netloc = f"{netloc}:{port}"
    return urlunsplit((parts.scheme, netloc, path.rstrip("/"), "", ""))

"""From an Airflow connection to what the client needs: pure, and forgiving of how people write it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from airflow_ltx.exceptions import ConfigurationError
from airflow_ltx.segmind.endpoints import DEFAULT_BASE_URL, ClientConfig
from airflow_ltx.segmind.numbers import integer_or_none, number_or_none

_TYPES = ("segmind", "generic", "")


class ConnectionLike(Protocol):
    """The part of ``airflow.sdk.Connection`` that is read."""

    @property
    def conn_id(self) -> str: ...
    @property
    def conn_type(self) -> str | None: ...
    @property
    def host(self) -> str | None: ...
    @property
    def port(self) -> int | None: ...
    @property
    def schema(self) -> str | None: ...
    @property
    def password(self) -> str | None: ...
    @property
    def extra_dejson(self) -> dict[str, Any]: ...


def client_config(connection: ConnectionLike) -> ClientConfig:
    """Read a connection of type ``segmind``.

    :raises ConfigurationError: Naming the connection and the field at fault; never its key.
    """
    extra: Any = connection.extra_dejson or {}
    try:
        if (connection.conn_type or "").strip() not in _TYPES:
            # Sent to Segmind, the password of another service would be given away.
            raise ConfigurationError(
                "its type is another service's, and it must be segmind. Nothing was sent."
            )
        if not isinstance(extra, Mapping):
            raise ConfigurationError(
                f"extra is {_kind(extra)}; it must be a JSON object such as {{}}. Nothing was sent."
            )
        return ClientConfig(
            api_key=connection.password or "",
            base_url=_base_url(connection),
            timeout=_number(extra, "timeout", 30.0),
            history_url=_text(extra, "history_url"),
            upload_url=_text(extra, "upload_url"),
            requests_per_minute=_whole(extra, "requests_per_minute"),
            allow_private_hosts=_flag(extra, "allow_private_hosts"),
        )
    except ConfigurationError as error:
        raise ConfigurationError(f"Connection {connection.conn_id!r}: {error.message}") from None


def _base_url(connection: ConnectionLike) -> str:
    host = (connection.host or "").strip()
    if not host:
        return DEFAULT_BASE_URL
    # As a URI, segmind://:KEY@host:8787/http keeps port and scheme apart from the host.
    scheme = (connection.schema or "").strip().lower()
    if "://" not in host and scheme in ("http", "https"):
        host = f"{scheme}://{host}"
    if connection.port and not host.rstrip("/").endswith(f":{connection.port}"):
        prefix, slashes, rest = host.rpartition("://")
        name, slash, path = rest.partition("/")
        host = f"{prefix}{slashes}{name}:{connection.port}{slash}{path}"
    return host


def _text(extra: Mapping[str, Any], name: str) -> str | None:
    value = extra.get(name)
    return str(value).strip() or None if value is not None else None


def _number(extra: Mapping[str, Any], name: str, default: float) -> float:
    value = extra.get(name)
    if value is None or value == "":
        return default
    number = number_or_none(value)
    if number is None:
        raise ConfigurationError(f"{name} is {_kind(value)}; it must be a number. Nothing was sent.")
    return float(number)


def _whole(extra: Mapping[str, Any], name: str) -> int | None:
    value = extra.get(name)
    if value is None or value == "":
        return None
    number = integer_or_none(value)
    if number is None:
        raise ConfigurationError(f"{name} is {_kind(value)}; it must be a whole number. Nothing was sent.")
    return number


def _flag(extra: Mapping[str, Any], name: str) -> bool:
    value = extra.get(name)
    if isinstance(value, str):
        if value.strip().lower() in ("", "false", "0", "no", "off"):
            return False
        if value.strip().lower() in ("true", "1", "yes", "on"):
            return True
        raise ConfigurationError(f"{name} is {_kind(value)}; it must be true or false. Nothing was sent.")
    return bool(value)


def _kind(value: object) -> str:
    """What a field holds, for a message. Never the value itself: it may be a key in the wrong field."""
    match value:
        case bool():
            return "true or false"
        case int() | float():
            return "another number"
        case str():
            return "some other text"
        case list():
            return "a list"
        case Mapping():
            return "an object"
        case _:
            return f"a {type(value).__name__}"

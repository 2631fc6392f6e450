"""The answer to a person who tests a connection at its form: does it work, and if not, what to mend."""

from __future__ import annotations

import threading
from dataclasses import replace
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from airflow_ltx.exceptions import (
    AccessDenied,
    AuthenticationFailed,
    RateLimited,
    SegmindError,
    ServiceUnavailable,
    Trouble,
    UnreadableResponse,
)
from airflow_ltx.segmind.endpoints import DEFAULT_BASE_URL, ClientConfig
from airflow_ltx.segmind.models import Credits
from airflow_ltx.segmind.redact import quote_service
from airflow_ltx.segmind.retry import ONCE

TEST_LIMIT = 10.0
"""Seconds that a person at the connection form waits for an answer."""

_SILENCE = 8.0
_ELSEWHERE = f"Segmind's own is {DEFAULT_BASE_URL}."


def try_connection(config: ClientConfig, *, limit: float = TEST_LIMIT) -> tuple[bool, str]:
    """Ask for the balance once: free of charge, runs no model.

    :param limit: Seconds after which the answer is given, whatever the network does.
    """
    heard: list[Credits | Exception] = []

    def ask() -> None:
        from airflow_ltx.segmind.client import SegmindClient

        try:
            # A client of its own: nobody at a form waits for as long as a task does.
            with SegmindClient(replace(config, timeout=min(config.timeout, _SILENCE))) as client:
                heard.append(client.credits(retry=ONCE))
        except Exception as error:
            heard.append(error)

    # On a thread, since looking up a name knows no time limit.
    asking = threading.Thread(target=ask, name="segmind-connection-test", daemon=True)
    asking.start()
    asking.join(limit)
    if not heard:
        return False, _no_answer(Trouble.TIMEOUT, config, "")
    answer = heard[0]
    return (True, _works(answer)) if isinstance(answer, Credits) else (False, explain(answer, config))


def explain(error: Exception, config: ClientConfig) -> str:
    """A short paragraph on why the balance could not be read. Never holds the key."""
    base, said = config.base_url, getattr(error, "said", None) or "no more is known"
    match error:
        case SegmindError(trouble=Trouble() as trouble):
            return _no_answer(trouble, config, said)
        case AuthenticationFailed():
            return (
                f"{base} refused the API key ({said}). It is wrong or has expired: copy it from the Segmind "
                "console once more into the password of the connection."
            )
        case AccessDenied() if "HTML" in said:
            return (
                f"{base} answered with a web page ({said}), as a proxy or a firewall does: let this machine "
                "through to it. The key could not be tried."
            )
        case AccessDenied():
            return (
                f"{base} does not let this key read the balance ({said}). Ask the owner of the key's team, "
                "or use another key."
            )
        case RateLimited(retry_after=wait):
            when = "in a minute" if wait is None else f"in {max(wait, 1.0):.0f} s"
            return (
                f"The account's limit of requests per minute is reached ({said}), so the key could not be "
                f"tried. Test again {when}."
            )
        case ServiceUnavailable():
            return (
                f"{base} is there, and has trouble of its own ({said}). Test again in a few minutes. The key "
                "could not be tried."
            )
        case UnreadableResponse(http_status=int() as status) if 300 <= status < 400:
            return (
                f"{base} sends its callers elsewhere ({said}), which Segmind does not do, so the Base URL is "
                f"not its API's. {_ELSEWHERE}{_other_scheme(config)}"
            )
        case UnreadableResponse():
            return (
                f"{base} answered, and not as Segmind does ({said}), so the Base URL is not its API's. "
                f"{_ELSEWHERE}{_other_scheme(config) if error.http_status == 400 else ''}"
            )
        case SegmindError():
            return without_money(error.message)
        case _:
            return quote_service(f"{type(error).__name__}: {error}", config.api_key)


def without_money(message: str) -> str:
    """A message for a place where nobody was about to buy."""
    return message.removesuffix(" Nothing was sent.")


def _works(balance: Credits) -> str:
    free = f" and ${balance.free_credits:.2f} of free credits" if balance.free_credits else ""
    if balance.credits <= 0 and not free:
        return (
            "The key works. The workspace has no credits: the service refuses every submit until some are "
            "added in the Segmind console."
        )
    return f"The key works. The workspace has ${balance.credits:.2f}{free}."


def _no_answer(trouble: Trouble, config: ClientConfig, said: str) -> str:
    host = urlsplit(config.base_url).netloc
    match trouble:
        case Trouble.NAME:
            return (
                f"No machine is known by the name {host} ({said}). Look for a slip in the Base URL; if there "
                f"is none, this machine cannot look up names.{_by_proxy(config)}"
            )
        case Trouble.REFUSED:
            return (
                f"Nothing listens at {host} ({said}). Check host and port of the Base URL, and that the "
                f"service there is up.{_by_proxy(config)}"
            )
        case Trouble.TIMEOUT:
            return (
                f"{host} did not answer in time. A firewall that drops what it does not let through is the "
                "usual reason; else the service there hangs. Check the Base URL and the way out of this "
                f"network.{_by_proxy(config)}"
            )
        case Trouble.CERTIFICATE:
            return (
                f"The certificate of {host} is not trusted here ({said}). If a proxy of your organisation "
                "opens such connections, name its CA bundle in the environment variable SSL_CERT_FILE; "
                "otherwise the Base URL leads to another host than it says."
            )
        case Trouble.TLS:
            return (
                f"{host} does not speak TLS, which https:// needs ({said}). If the service there speaks "
                "plain HTTP, write http:// in front of the Base URL."
            )
        case Trouble.PROXY:
            return (
                f"The proxy of this machine did not let the call to {host} through ({said}). See the "
                "environment variables HTTP_PROXY, HTTPS_PROXY and NO_PROXY."
            )
        case Trouble.UNREACHABLE:
            return (
                f"There is no way from this machine to {host} ({said}). Check the Base URL and the way out "
                "of this network."
            )
        case Trouble.BROKEN:
            return (
                f"{host} broke the connection off before its answer was whole ({said}). Check the Base URL; "
                f"if it is right, test again in a few minutes.{_other_scheme(config)}"
            )


def _by_proxy(config: ClientConfig) -> str:
    url, proxies = urlsplit(config.base_url), getproxies()
    scheme = next((scheme for scheme in (url.scheme, "all") if proxies.get(scheme)), None)
    if scheme is None or proxy_bypass(url.hostname or ""):
        return ""
    # Not quoted: its URL may hold a password.
    return (
        f" Calls go by the proxy that {scheme.upper()}_PROXY names, which may be what failed: look at it too."
    )


def _other_scheme(config: ClientConfig) -> str:
    if not config.base_url.startswith("http://"):
        return ""
    return " If the service there speaks TLS, write https:// in front of it."

"""An httpx transport over aiohttp, for the many small reads of a triggerer: a third of the CPU of httpx's own
pool, and its cost does not grow with the number of open requests. Only imported where aiohttp is installed.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager

import aiohttp
import httpx

_MEANINGS: tuple[tuple[type[Exception], type[httpx.TransportError]], ...] = (
    (aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout),
    (aiohttp.ClientConnectorError, httpx.ConnectError),
    (aiohttp.ClientConnectorCertificateError, httpx.ConnectError),
    (aiohttp.InvalidURL, httpx.UnsupportedProtocol),
    (TimeoutError, httpx.ReadTimeout),
    (aiohttp.ClientOSError, httpx.ReadError),
    (aiohttp.ClientError, httpx.RemoteProtocolError),
    (aiohttp.http_exceptions.HttpProcessingError, httpx.RemoteProtocolError),
)
"""The first that fits: which of httpx's errors tells the same, above all whether anything was sent."""


class AiohttpTransport(httpx.AsyncBaseTransport):
    """For one event loop; the session is made by the first request.

    :param verify: Trust in the hosts of https URLs.
    :param connections: The most that are open at a time.
    :param idle: Seconds for which an unused one is kept.
    """

    def __init__(self, verify: ssl.SSLContext, *, connections: int, idle: float) -> None:
        self._verify = verify
        self._connections = connections
        self._idle = idle
        self._session: aiohttp.ClientSession | None = None
        self._life: AsyncGenerator[aiohttp.ClientSession, None] | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send, and return with the head of the answer."""
        session = self._session or await self._open()
        limits = request.extensions["timeout"]
        with _as_httpx():
            answer = await session.request(
                request.method,
                str(request.url),
                data=request.content or None,
                headers=request.headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    connect=limits["pool"], sock_connect=limits["connect"], sock_read=limits["read"]
                ),
            )
        return httpx.Response(
            answer.status, headers=answer.raw_headers, stream=_Body(answer), request=request
        )

    async def aclose(self) -> None:
        """Close the connections."""
        if self._life is not None:
            await self._life.aclose()
        self._session = self._life = None

    async def _open(self) -> aiohttp.ClientSession:
        self._life = self._live()
        self._session = await anext(self._life)
        return self._session

    async def _live(self) -> AsyncGenerator[aiohttp.ClientSession, None]:
        """A loop that ends finishes its generators, so nobody has to remember to close a shared session."""
        # Nothing of aiohttp's own comfort: httpx's users above decide about redirects, cookies and encodings.
        connector = aiohttp.TCPConnector(
            ssl=self._verify,
            limit=self._connections,
            keepalive_timeout=self._idle,
            resolver=aiohttp.ThreadedResolver(),
        )
        async with aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("accept-encoding", "user-agent", "content-type"),
        ) as session:
            yield session


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx():
            async for chunk in self._answer.content.iter_any():
                yield chunk

    async def aclose(self) -> None:
        # Gives the connection back if the body was read to its end, and closes it if not.
        self._answer.close() if not self._answer.content.at_eof() else self._answer.release()


@contextmanager
def _as_httpx() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        for kind, meaning in _MEANINGS:
            if isinstance(error, kind):
                raise meaning(str(error) or type(error).__name__) from error
        raise

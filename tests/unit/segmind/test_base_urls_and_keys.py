from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_ltx.exceptions import ConfigurationError
from airflow_ltx.segmind.async_client import AsyncSegmindClient
from airflow_ltx.segmind.client import SegmindClient
from airflow_ltx.segmind.endpoints import ClientConfig, normalise_base_url
from tests.unit.segmind.support import KEY


@pytest.mark.parametrize(
    ("given_url", "normal"),
    [
        ("https://api.segmind.com", "https://api.segmind.com"),
        ("https://api.segmind.com/", "https://api.segmind.com"),
        ("https://api.segmind.com///", "https://api.segmind.com"),
        ("https://api.segmind.com/v1", "https://api.segmind.com"),
        ("https://api.segmind.com/v1/", "https://api.segmind.com"),
        ("https://api.segmind.com/v2/", "https://api.segmind.com"),
        ("  https://api.segmind.com\n", "https://api.segmind.com"),
        ("HTTPS://API.Segmind.COM", "https://api.segmind.com"),
        ("api.segmind.com", "https://api.segmind.com"),
        ("localhost:8787", "https://localhost:8787"),
        ("http://localhost:8787", "http://localhost:8787"),
        ("http://proxy/segmind", "http://proxy/segmind"),
        ("http://proxy/segmind/v2", "http://proxy/segmind"),
        ("http://proxy/v2x", "http://proxy/v2x"),
        ("http://proxy/v1/segmind", "http://proxy/v1/segmind"),
        ("http://[::1]:8787/v2", "http://[::1]:8787"),
        ("https://[2001:db8::1]", "https://[2001:db8::1]"),
    ],
)
def test_a_base_url_is_reduced_to_scheme_host_port_and_prefix(given_url: str, normal: str) -> None:
    assert normalise_base_url(given_url) == normal
    assert normalise_base_url(normal) == normal


@pytest.mark.parametrize(
    "url",
    [
        "",
        "   ",
        "https://",
        "https:///path",
        "https://:443",
        "ftp://api.segmind.com",
        "file:///etc/passwd",
        "https://api.segmind.com?key=1",
        "https://api.segmind.com/#v2",
        "https://api.segmind.com:99999",
        "https://api.segmind.com:port",
        "https://[::1",
    ],
)
def test_what_is_no_base_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="base URL"):
        normalise_base_url(url)


@pytest.mark.parametrize("url", ["https://api segmind.com", "https://api\tx y.com", "https://a\x7fb.com"])
def test_a_host_that_no_request_can_go_to_is_refused_before_the_first_one(url: str) -> None:
    with pytest.raises(ConfigurationError):
        ClientConfig(api_key=KEY, base_url=url)


@pytest.mark.parametrize(
    "url",
    [
        f"https://{KEY}@api.segmind.com",
        f"https://:{KEY}@api.segmind.com",
        f"https://user:{KEY}@api.segmind.com/v2",
        f"{KEY}@api.segmind.com",
        f"https://user:{KEY}",
        f"api.segmind.com:{KEY}",
        f"https://{KEY}:port@[::1",
        f"https://x:{KEY}@ho\u2100st",
    ],
)
def test_a_key_misplaced_into_the_url_is_refused_and_not_quoted_back(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ClientConfig(api_key=KEY, base_url=url)
    assert KEY not in f"{caught.value} {caught.value!r} {caught.value.message}"
    assert caught.value.retryable is False


@pytest.mark.parametrize("name", ["base_url", "history_url", "upload_url"])
@pytest.mark.parametrize(
    "host",
    ["http://a..b", f"https://{'a' * 64}.com", "https://xn--zz--.com", "http://\U0001f600.test", "http://.x"],
)
@pytest.mark.parametrize("client", [SegmindClient, AsyncSegmindClient])
def test_a_host_that_can_have_no_address_is_refused_before_the_first_call(
    client: type, host: str, name: str
) -> None:
    """Looked up in the middle of a paid call, it would look like a lost answer."""
    with pytest.raises(
        ConfigurationError, match=f"The {name.replace('base_url', 'base URL')} has a host"
    ) as caught:
        client(ClientConfig(api_key=KEY, **{name: host}))
    assert not caught.value.retryable


@pytest.mark.parametrize(
    "host",
    ["http://[::1]:8787", "http://127.0.0.1", "https://a_b.example", "https://bücher.example", "http://a."],
)
def test_other_hosts_are_taken(host: str) -> None:
    SegmindClient(ClientConfig(api_key=KEY, base_url=host)).close()


@pytest.mark.parametrize("name", ["history_url", "upload_url"])
def test_the_other_hosts_are_checked_like_the_first(name: str) -> None:
    with pytest.raises(ConfigurationError):
        ClientConfig(api_key=KEY, **{name: f"https://{KEY}@elsewhere"})
    assert getattr(ClientConfig(api_key=KEY, **{name: "elsewhere/v2/"}), name) == "https://elsewhere"


@pytest.mark.parametrize(
    ("base", "history", "upload"),
    [
        ("https://api.segmind.com", "https://api.spotprod.segmind.com", "https://workflows-api.segmind.com"),
        ("API.segmind.com/v2", "https://api.spotprod.segmind.com", "https://workflows-api.segmind.com"),
        ("http://127.0.0.1:8787", "http://127.0.0.1:8787", "http://127.0.0.1:8787"),
        (
            "https://api-latest.segmind.com",
            "https://api-latest.segmind.com",
            "https://api-latest.segmind.com",
        ),
        ("https://api.segmind.com.evil.example", *["https://api.segmind.com.evil.example"] * 2),
    ],
)
def test_segminds_other_hosts_get_the_key_only_where_the_base_is_segmind(
    base: str, history: str, upload: str
) -> None:
    config = ClientConfig(api_key=KEY, base_url=base)
    assert (config.history_url, config.upload_url) == (history, upload)


def test_urls_are_built_from_slug_and_id_under_the_prefix() -> None:
    config = ClientConfig(api_key=KEY, base_url="http://proxy:1/segmind/v2")
    assert config.submit_url("ltx-video") == "http://proxy:1/segmind/v2/ltx-video"
    assert config.status_url("a/../b?c") == "http://proxy:1/segmind/v2/requests/a%2F..%2Fb%3Fc/status"
    assert config.result_url("abc") == "http://proxy:1/segmind/v2/requests/abc"
    assert config.credits_url == "http://proxy:1/segmind/v1/get-user-credits"


@pytest.mark.parametrize("key", [f"{KEY}\n", f" {KEY}\t", f"\r\n{KEY}\r\n"])
def test_blanks_around_a_key_are_dropped(key: str) -> None:
    assert ClientConfig(api_key=key).api_key == KEY
    assert ClientConfig(api_key=key) == ClientConfig(api_key=KEY)


@pytest.mark.parametrize(
    "key", ["", " ", "\n", "SG_01 23", "SG_01\n23", "SG_é", "SG_\x00", "SG_\x7f", "SG_\u200b1"]
)
def test_a_key_that_no_header_can_carry_is_refused_and_not_quoted_back(key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ClientConfig(api_key=key)
    assert not key.strip() or key.strip() not in str(caught.value)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), 1e12])
def test_a_timeout_that_no_socket_can_have_is_refused(timeout: float) -> None:
    with pytest.raises(ConfigurationError, match="timeout"):
        ClientConfig(api_key=KEY, timeout=timeout)


@pytest.mark.parametrize("limit", [0, -5])
def test_a_rate_below_one_is_refused(limit: int) -> None:
    with pytest.raises(ConfigurationError, match="requests_per_minute"):
        ClientConfig(api_key=KEY, requests_per_minute=limit)


def test_the_key_is_in_no_text_form_of_the_configuration() -> None:
    config = ClientConfig(api_key=KEY)
    assert KEY not in f"{config} {config!r} {config.submit_url('m')} {config.history_url}"


def test_configurations_are_shared_by_value_and_told_apart_by_key() -> None:
    assert (
        len({ClientConfig(api_key=KEY), ClientConfig(api_key=KEY + "\n"), ClientConfig(api_key="other")}) == 2
    )


@pytest.mark.parametrize("limit", [0, -1])
def test_what_is_wrong_with_a_limit_says_that_nothing_was_sent(limit: int) -> None:
    with pytest.raises(ConfigurationError, match="Nothing was sent"):
        ClientConfig(api_key=KEY, requests_per_minute=limit)


@given(st.text(alphabet=string.printable + "é[]@\u2100", max_size=40))
def test_any_text_is_a_normal_url_or_a_configuration_error(text: str) -> None:
    try:
        normal = normalise_base_url(text)
    except ConfigurationError:
        return
    assert normal.startswith(("http://", "https://"))
    assert "@" not in normal.split("/")[2]
    assert not normal.endswith(("/", "?", "#"))


@given(st.text(min_size=1, max_size=80))
def test_an_id_stays_within_its_path_segment(request_id: str) -> None:
    url = ClientConfig(api_key=KEY).status_url(request_id)
    assert url.startswith("https://api.segmind.com/v2/requests/")
    assert url.removeprefix("https://api.segmind.com/v2/requests/").count("/") == 1
    assert not set("?#\\") & set(url)


@pytest.mark.parametrize(
    "host", ["SG_0123456789abcdef", "https://SG_0123456789abcdef/", "sg_0123456789abcdef:443"]
)
def test_a_key_in_the_place_of_the_host_is_neither_quoted_nor_looked_up(host):
    with pytest.raises(ConfigurationError, match="looks like an API key") as caught:
        normalise_base_url(host)
    assert "0123456789abcdef" not in str(caught.value).lower()

"""URLs that readers disagree about are refused, and the rest has one spelling."""

import re
from typing import Any

import pytest

from service.outside.http_url import MAX_URL_CHARACTERS, BadUrl, parse_url, redirected

ODD = [
    "",
    "example.com",
    "//example.com",
    "https:example.com",
    "https:/example.com",
    "https:///example.com",
    "https://",
    "https://?",
    "https://:443",
    "ftp://example.com",
    "file:///etc/passwd",
    "gopher://example.com",
    "javascript://example.com/%0aalert(1)",
    "http\u017f://example.com",
    " https://example.com",
    "https://example.com\n",
    "https://exam\tple.com",
    "https://example.com/\r\nHost: evil.example",
    "https://example.com\0.evil.example",
    "https://example.com\\@evil.example",
    "https:\\\\example.com",
    "https://example.com\\.evil.example/",
    "https://good.example@evil.example",
    "https://user:password@evil.example",
    "https://good.example%40evil.example",
    "https://evil.example:443@good.example",
    "https://2130706433",
    "https://017700000001",
    "https://0x7f000001",
    "https://0x7f.1",
    "https://0x7f.0.0.1",
    "https://0177.0.0.1",
    "https://127.1",
    "https://127.0.1",
    "https://127.0.0.01",
    "https://127.0.0.1.",
    "https://127.0.0.1.0",
    "https://127.0.0.256",
    "https://1.2.3.0x4",
    "https://example.0x",
    "https://①②⑦.⓪.⓪.①",
    "https://ｅｘａｍｐｌｅ.com",
    "https://exämple.com",
    "https://example.com.",
    "https://example..com",
    "https://.example.com",
    "https://exa mple.com",
    "https://exam%70le.com",
    "https://-example.com",
    "https://example-.com",
    f"https://{'a' * 64}.com",
    f"https://{'a.' * 127}com",
    "https://[::1]",
    "https://[::ffff:127.0.0.1]",
    "https://[fe80::1%25eth0]",
    "https://[2606:4700::1111]:443",
    "https://[::1",
    "https://::1",
    "https://example.com:",
    "https://example.com:0",
    "http://mail.example.com:25",
    "http://example.com:22",
    "http://example.com:1023",
    "https://example.com:65536",
    "https://example.com:8443:443",
    "https://example.com:http",
    "https://example.com:+443",
    "https://example.com:４４３",
    "https://example.com/\ud800",
    "https://example.com/" + "a" * MAX_URL_CHARACTERS,
    "https://example.com/" + "ä" * (MAX_URL_CHARACTERS // 4),
]


@pytest.mark.parametrize("text", ODD, ids=ascii)
def test_a_url_that_could_be_read_otherwise_is_refused(text: str) -> None:
    with pytest.raises(BadUrl):
        parse_url(text)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://example.com", "https://example.com/"),
        ("HTTPS://EXAMPLE.com:443/A?B=c#d", "https://example.com/A?B=c"),
        ("http://example.com:80", "http://example.com/"),
        ("http://example.com:443", "http://example.com:443/"),
        ("https://example.com:08443/", "https://example.com:8443/"),
        ("https://example.com?a=1", "https://example.com/?a=1"),
        ("https://example.com/a b/ä?q=ö ü", "https://example.com/a%20b/%C3%A4?q=%C3%B6%20%C3%BC"),
        ("https://example.com/%2e%2e/a%zz", "https://example.com/%2e%2e/a%zz"),
        ("https://example.com/@user?to=a@b.example", "https://example.com/@user?to=a@b.example"),
        ("https://xn--exmple-cua.com", "https://xn--exmple-cua.com/"),
        ("https://_dmarc.example.com", "https://_dmarc.example.com/"),
        ("https://93.184.216.34/", "https://93.184.216.34/"),
        ("https://127.0.0.1", "https://127.0.0.1/"),
    ],
)
def test_a_url_has_one_spelling(text: str, url: str) -> None:
    assert str(parse_url(text)) == url
    assert str(parse_url(url)) == url


def test_params_are_added_to_the_query() -> None:
    params: dict[str, Any] = {"q": "a&b", "page": 2, "all": True, "tag": ["x", "y"], "none": None}
    assert str(parse_url("https://example.com/?a=1", params)) == (
        "https://example.com/?a=1&q=a%26b&page=2&all=true&tag=x&tag=y"
    )
    assert str(parse_url("https://example.com/", {"none": None})) == "https://example.com/"


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/next", "https://example.com:8443/next"),
        ("next", "https://example.com:8443/a/next"),
        ("?page=2", "https://example.com:8443/a/b?page=2"),
        ("//other.example/x", "https://other.example/x"),
        ("http://other.example", "http://other.example/"),
    ],
)
def test_a_redirect_is_relative_to_where_it_came_from(location: str, url: str) -> None:
    assert str(redirected(parse_url("https://example.com:8443/a/b"), location)) == url


ODD_REDIRECTS = [text for text in ODD if re.match("[a-z]+://.", text)]


@pytest.mark.parametrize(
    "location", [*ODD_REDIRECTS, "//[", "//a@b", "\\\\b", "//127.1", "//localhost\t", "///b", "a:b", "/a\tb"], ids=ascii
)
def test_a_redirect_to_such_a_url_is_refused(location: str) -> None:
    with pytest.raises(BadUrl):
        redirected(parse_url("https://example.com/a"), location)

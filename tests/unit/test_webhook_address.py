"""Which addresses and URLs nothing is sent to: each way to write a guarded address, and what is no endpoint's URL."""

from ipaddress import ip_address, ip_network

import pytest

from worker.webhooks.address import LONGEST_URL, AddressGuard, check_endpoint_url, parse_networks

GUARD = AddressGuard()

GUARDED = [
    ("127.0.0.1", "a loopback address"),
    ("127.255.255.254", "a loopback address"),
    ("0.0.0.0", "an unspecified address"),  # noqa: S104 - nothing listens
    ("0.1.2.3", "a private address"),
    ("10.0.0.1", "a private address"),
    ("172.16.0.1", "a private address"),
    ("172.31.255.255", "a private address"),
    ("192.168.1.1", "a private address"),
    ("100.64.0.1", "no public address"),  # carrier-grade NAT
    ("100.127.255.255", "no public address"),
    ("169.254.1.1", "a link-local address"),
    ("169.254.169.254", "a link-local address"),  # the metadata of AWS, Azure, Google, DigitalOcean
    ("169.254.170.2", "a link-local address"),  # the credentials of an ECS task
    ("100.100.100.200", "a metadata address"),  # Alibaba's
    ("168.63.129.16", "a metadata address"),  # Azure's host
    ("192.0.0.192", "a metadata address"),  # Oracle's
    ("192.0.0.8", "no public address"),
    ("192.0.2.1", "a private address"),  # documentation
    ("198.51.100.1", "a private address"),
    ("203.0.113.1", "a private address"),
    ("198.18.0.1", "a private address"),  # benchmarks
    ("192.88.99.1", "no public address"),  # 6to4 relays
    ("224.0.0.1", "a multicast address"),
    ("239.255.255.250", "a multicast address"),
    ("240.0.0.1", "a private address"),
    ("255.255.255.255", "a private address"),  # broadcast
    ("::", "an unspecified address"),
    ("::1", "a loopback address"),
    ("fe80::1", "a link-local address"),
    ("fec0::1", "no public address"),  # site-local
    ("fc00::1", "a private address"),
    ("fd12:3456:789a::1", "a private address"),
    ("fd00:ec2::254", "a metadata address"),  # AWS
    ("fd20:ce::254", "a metadata address"),  # Google
    ("ff02::1", "a multicast address"),
    ("ff0e::1", "a multicast address"),
    ("2001:db8::1", "a private address"),
    ("3fff::1", "no public address"),  # documentation, too
    ("4000::1", "no public address"),  # given to nobody
    ("100::1", "a private address"),  # discard
    ("::ffff:127.0.0.1", "a loopback address"),  # mapped
    ("::ffff:10.0.0.1", "a private address"),
    ("::ffff:a9fe:a9fe", "a link-local address"),
    ("::ffff:100.64.0.1", "no public address"),
    ("::127.0.0.1", "a loopback address"),  # compatible
    ("::a9fe:a9fe", "a link-local address"),
    ("::ffff:0:127.0.0.1", "no public address"),  # translated (SIIT)
    ("64:ff9b::127.0.0.1", "a loopback address"),  # NAT64
    ("64:ff9b::a9fe:a9fe", "a link-local address"),
    ("64:ff9b:1::8.8.8.8", "no public address"),  # NAT64 of a local network: where its address stands nobody knows
    ("64:ff9b:1:7f00:0:100:808:808", "no public address"),
    ("2002:7f00:1::", "a loopback address"),  # 6to4
    ("2002:a9fe:a9fe::1", "a link-local address"),
    ("2001:0:53aa:64c:0:fbaf:80ff:fffe", "no public address"),  # Teredo
]

PUBLIC = ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]


@pytest.mark.parametrize(("text", "kind"), GUARDED, ids=[text for text, _ in GUARDED])
def test_no_message_goes_to_a_guarded_address(text: str, kind: str) -> None:
    objection = GUARD.objection(ip_address(text))
    assert objection
    assert f"is {kind}; nothing is sent there unless [webhooks] allow names it" in objection


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address_is_open(text: str) -> None:
    assert GUARD.objection(ip_address(text)) is None


@pytest.mark.parametrize("text", [text for text, _ in GUARDED])
def test_a_guarded_address_is_refused_as_the_host_of_a_url(text: str) -> None:
    host = f"[{text}]" if ":" in text else text
    with pytest.raises(ValueError, match=r"nothing is sent there"):
        check_endpoint_url(f"https://{host}/hooks", GUARD, allow_http=False)


def test_what_is_allowed_is_open_in_each_of_its_forms_and_its_neighbours_are_not() -> None:
    guard = AddressGuard(parse_networks(["10.20.0.0/16", "127.0.0.1", "fd00:1::/32"]))
    for text in ("10.20.0.1", "::ffff:10.20.0.1", "64:ff9b::10.20.0.1", "127.0.0.1", "fd00:1::5"):
        assert guard.objection(ip_address(text)) is None
    for text in ("10.21.0.1", "127.0.0.2", "::1", "fd00:2::5", "::ffff:10.21.0.1"):
        assert guard.objection(ip_address(text))
    assert check_endpoint_url("https://10.20.0.1/x", guard, allow_http=False)
    assert check_endpoint_url("https://localhost/x", guard, allow_http=False)


def test_allowing_an_ipv6_network_that_holds_ipv4_addresses_is_meant() -> None:
    guard = AddressGuard((ip_network("64:ff9b::/96"),))
    assert guard.objection(ip_address("64:ff9b::127.0.0.1")) is None
    assert guard.objection(ip_address("127.0.0.1"))


ADDRESS = "is no way to write an address"
NAME = "is no host name"
HERE = "is this machine"
PORT = "the URL has no valid host or port"
HTTPS = "the URL must begin with https://"
CREDENTIALS = "the URL has credentials in it"
ASCII = "the URL has characters outside ASCII"
GAP = "the URL has a space, a backslash or a control character in it"
FRAGMENT = "the URL has a fragment"
NOWHERE = "the URL has no host, or the port 0"
ZONE = "has a zone"

HOSTILE = [
    ("https://2130706433/", ADDRESS),  # decimal
    ("https://0x7f000001/", ADDRESS),  # hexadecimal
    ("https://0X7F.0.0.1/", ADDRESS),
    ("https://0x7f.0x0.0x0.0x1/", ADDRESS),
    ("https://127.0x0.0.1/", ADDRESS),
    ("https://127.0.0.0x1/", ADDRESS),
    ("https://017700000001/", ADDRESS),  # octal
    ("https://0177.0.0.1/", ADDRESS),
    ("https://127.1/", ADDRESS),  # short forms
    ("https://127.0.1/", ADDRESS),
    ("https://10.1/", ADDRESS),
    ("https://0/", ADDRESS),
    ("https://127.0.0.1./", ADDRESS),  # trailing dots
    ("https://8.8.8.8./", ADDRESS),
    ("https://1.2.3.4.5/", ADDRESS),
    ("https://256.256.256.256/", ADDRESS),
    ("https://127.0.0.1.1/", ADDRESS),
    ("https://169.254.169.254:443/latest/meta-data/", "is a link-local address"),
    ("https://localhost/", HERE),
    ("https://LOCALHOST./", HERE),
    ("https://app.localhost/", HERE),
    ("https://localhost.localdomain/", HERE),
    ("https://ip6-loopback/", HERE),
    ("https://localhost../", NAME),
    ("https://example.com../", NAME),
    ("https://.example.com/", NAME),
    ("https://a..b/", NAME),
    ("https://%6c%6f%63alhost/", NAME),  # encodings
    ("https://127%2e0%2e0%2e1/", NAME),
    ("https://%31%32%37.0.0.1/", ADDRESS),
    ("https://example.com%00.evil.example/", NAME),
    ("https://*/", NAME),
    ("https://exa,mple.com/", NAME),
    (f"https://{'a' * 64}.example/", NAME),
    (f"https://{'a.' * 127}example/", NAME),
    ("https://xn--/", NAME),
    ("https://xn--a/", NAME),
    ("https://127\u30020\u30020\u30021/", ASCII),  # dots and digits of other scripts
    ("https://\uff11\uff12\uff17.0.0.1/", ASCII),
    ("https://\u2460\u2461\u2466.0.0.1/", ASCII),
    ("https://loc\u00adalhost/", ASCII),
    ("https://bücher.example/", ASCII),
    ("https://example.com\\@127.0.0.1/", GAP),
    ("https:\\\\127.0.0.1/", GAP),
    ("https://127.0.0.1\t/", GAP),
    ("https://exam\nple.com/", GAP),
    ("https://exam\rple.com/", GAP),
    (" https://example.com/", GAP),
    ("https://example.com/\x00", GAP),
    ("https://example.com/\x7f", GAP),
    ("https://user:hunter2@example.com/", CREDENTIALS),
    ("https://user@example.com/", CREDENTIALS),
    ("https://@example.com/", CREDENTIALS),
    ("https://example.com:443@127.0.0.1/", CREDENTIALS),
    ("https://8.8.8.8%40@127.0.0.1/", CREDENTIALS),
    ("https://[::1", PORT),
    ("https://::1]/", PORT),
    ("https://[v1.fe80]/", PORT),
    ("https://[example.com]/", PORT),
    ("https://[127.0.0.1]/", PORT),
    ("https://[fe80::1%25eth0]/", ZONE),
    ("https://[::1%lo]/", ZONE),
    ("https://[2606:4700::1111%25eth0]/", ZONE),
    ("https://example.com:0/", NOWHERE),
    ("https://example.com:65536/", PORT),
    ("https://example.com:-1/", PORT),
    ("https://example.com:http/", PORT),
    ("https://example.com/#top", FRAGMENT),
    ("https://example.com/#", FRAGMENT),
    ("https://", NOWHERE),
    ("https:///hooks", NOWHERE),
    ("https:example.com", NOWHERE),
    ("https:/example.com", NOWHERE),
    ("https://:443/", NOWHERE),
    ("https://./", NAME),
    ("http://example.com/", HTTPS),
    ("//example.com/", HTTPS),
    ("example.com", HTTPS),
    ("", HTTPS),
    ("ftp://example.com/", HTTPS),
    ("file:///etc/passwd", HTTPS),
    ("gopher://example.com/", HTTPS),
    ("javascript:alert(1)", HTTPS),
    ("data:text/plain,x", HTTPS),
    ("unix:///var/run/docker.sock", HTTPS),
    (f"https://example.com/{'a' * LONGEST_URL}", "the URL has 2,020 characters; at most 2,000 are taken"),
]


@pytest.mark.parametrize(("url", "said"), HOSTILE, ids=[ascii(url)[:60] for url, _ in HOSTILE])
def test_what_is_no_url_of_an_endpoint_is_refused_in_one_line(url: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - compared below, with what each is refused for
        check_endpoint_url(url, GUARD, allow_http=False)
    told = str(caught.value)
    assert said in told
    assert "\n" not in told
    assert "hunter2" not in told


GOOD = [
    "https://example.com",
    "https://example.com/hooks?team=a&b=%20",
    "https://EXAMPLE.com:8443/a/b;c",
    "https://example.com./hooks",
    "https://hooks_1.example.com/",
    "https://1password.example/",
    "https://123.example.com/",
    "https://0x7f.example.com/",
    "https://xn--bcher-kva.example/",
    "https://intranet/hooks",
    "https://8.8.8.8/hooks",
    "https://[2606:4700::1111]:8443/hooks",
    "https://example.com/path@with:signs",
    f"https://{'a' * 63}.example/",
]


@pytest.mark.parametrize("url", GOOD)
def test_a_good_url_is_taken_as_it_is(url: str) -> None:
    assert check_endpoint_url(url, GUARD, allow_http=False) == url


def test_plain_http_is_taken_only_where_it_is_allowed() -> None:
    assert check_endpoint_url("http://example.com/", GUARD, allow_http=True)
    with pytest.raises(ValueError, match=r"must begin with https:// or http://$"):
        check_endpoint_url("ws://example.com/", GUARD, allow_http=True)


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        parse_networks(["10.0.0.0/8", "intranet"])

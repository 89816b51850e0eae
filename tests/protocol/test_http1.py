"""What is a request, what is none, and how answers look on the wire."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocserv_core.errors import ClientError, HttpViolation
from ocserv_core.protocol.http1 import Headers, Request, RequestReader, Response, build_response, one_line

GET = b"GET /auth?x=1 HTTP/1.1\r\nHost: vpn.example.test\r\nX-Pad: 0000\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"


def read(data: bytes) -> Request | None:
    reader = RequestReader()
    reader.receive_data(data)
    return reader.next_request()


def whole(data: bytes) -> Request:
    request = read(data)
    assert request is not None
    return request


def refused(data: bytes) -> int:
    with pytest.raises(HttpViolation) as caught:
        read(data)
    return caught.value.status


def test_a_request_is_cut_into_its_parts() -> None:
    request = whole(GET)
    assert (request.method, request.path, request.query) == ("GET", "/auth", "x=1")


def test_a_path_is_percent_decoded() -> None:
    assert whole(GET.replace(b"/auth", b"/%61uth")).path == "/auth"


@pytest.mark.parametrize(("length", "zeros"), [(364, 20), (402, 46), (396, 52), (367, 17), (0, 64)])
def test_padding_changes_nothing(length: int, zeros: int) -> None:
    head = f"POST /auth HTTP/1.1\r\nHost: a\r\nX-Pad: {'0' * zeros}\r\nContent-Length: {length}\r\n\r\n"
    assert whole(head.encode() + b"x" * length).body == b"x" * length


def test_header_names_are_compared_in_any_case() -> None:
    assert whole(GET).headers.get("x-pAD") == "0000"


def test_a_body_is_waited_for() -> None:
    assert read(POST[:-1]) is None


def test_a_body_has_its_length() -> None:
    assert whole(POST).body == b"hello"


@pytest.mark.parametrize("cut", range(1, len(POST)))
def test_a_request_may_come_in_two_pieces(cut: int) -> None:
    reader = RequestReader()
    reader.receive_data(POST[:cut])
    assert reader.next_request() is None
    reader.receive_data(POST[cut:])
    request = reader.next_request()
    assert request is not None
    assert request.body == b"hello"


def test_a_request_may_come_byte_by_byte() -> None:
    reader = RequestReader()
    requests = []
    for byte in POST:
        reader.receive_data(bytes([byte]))
        requests.append(reader.next_request())
    assert [r for r in requests if r is not None] == [requests[-1]]


def test_a_second_request_follows_on_the_same_connection() -> None:
    reader = RequestReader()
    reader.receive_data(POST)
    reader.next_request()
    reader.receive_data(GET)
    request = reader.next_request()
    assert request is not None
    assert request.method == "GET"


def test_clavisters_target_without_a_slash_is_a_request() -> None:
    assert whole(b"CONNECT CSCOSSLC/tunnel HTTP/1.1\r\nHost: a\r\n\r\n").target == "CSCOSSLC/tunnel"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GET / HTTP/1.1\nHost: a\n\n", id="bare LF"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\n\r\n", id="one bare LF"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\rX: 1\r\n\r\n", id="bare CR"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", id="folded line"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n\tfolded\r\n\r\n", id="folded line, tab"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n", id="NUL"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", id="TE"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n", id="CL and TE"
        ),
        pytest.param(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n", id="two CL"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0, 0\r\n\r\n", id="CL twice in one"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", id="negative CL"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx", id="signed CL"),
        pytest.param(b"GET / HTTP/1.1\r\nX : 1\r\nHost: a\r\n\r\n", id="blank before the colon"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="no Host"),
        pytest.param(b"\r\n\r\n", id="nothing"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\r\n\r\n", id="TLS in TLS"),
        pytest.param(GET + b"G", id="pipelined GET"),
        pytest.param(POST + GET, id="pipelined after a body"),
    ],
)
def test_what_is_no_request(data: bytes) -> None:
    assert refused(data) == 400


def test_a_bare_lf_is_refused_before_the_end_of_the_head() -> None:
    assert refused(b"GET / HTTP/1.1\nHost: a\n\n") == 400


def test_a_cr_at_the_end_may_still_get_its_lf() -> None:
    assert read(b"GET / HTTP/1.1\r") is None


def test_a_url_of_255_bytes_is_read() -> None:
    assert whole(b"GET /" + b"a" * 254 + b" HTTP/1.1\r\nHost: a\r\n\r\n").method == "GET"


def test_a_url_of_256_bytes_is_too_long() -> None:
    assert refused(b"GET /" + b"a" * 255 + b" HTTP/1.1\r\nHost: a\r\n\r\n") == 414


def test_a_url_without_end_is_too_long() -> None:
    assert refused(b"GET /" + b"a" * 400) == 414


def test_a_head_over_16_kib_is_too_long() -> None:
    assert refused(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: 1\r\n" * 2800) == 431


def test_a_head_may_be_longer_where_that_is_said() -> None:
    reader = RequestReader(40 * 1024)
    reader.receive_data(b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Negotiate " + b"A" * 39000 + b"\r\n\r\n")
    request = reader.next_request()
    assert request is not None
    assert request.headers.get("Authorization") == "Negotiate " + "A" * 39000


def test_a_body_over_256_kib_is_too_long() -> None:
    assert refused(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 262145\r\n\r\n") == 413


def test_a_length_of_many_digits_is_no_length() -> None:
    assert refused(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n") == 400


def test_http_2_is_another_protocol() -> None:
    assert refused(b"GET / HTTP/2.0\r\nHost: a\r\n\r\n") == 505


def test_the_seventeenth_request_is_refused() -> None:
    reader = RequestReader()
    for _ in range(16):
        reader.receive_data(GET)
        assert reader.next_request() is not None
    reader.receive_data(b"G")
    with pytest.raises(HttpViolation) as caught:
        reader.next_request()
    assert caught.value.status == 429


@pytest.mark.parametrize(("version", "connection"), [("1.0", "keep-alive"), ("1.1", "close"), ("1.1", "TE, Close")])
def test_who_wants_the_connection_closed(version: str, connection: str) -> None:
    headers = Headers((("Connection", connection),))
    assert Request("GET", "/", headers, http_version=version).wants_close


def test_keep_alive_is_the_rule() -> None:
    assert not Request("GET", "/").wants_close


def test_headers_show_no_values() -> None:
    assert repr(Headers((("Cookie", "webvpn=secret"),))) == "Headers(cookie)"


def test_repeated_headers_are_all_kept() -> None:
    headers = Headers((("A", "1"), ("B", "2"), ("a", "3")))
    assert headers.get_all("a") == ("1", "3")
    assert "c" not in headers


def test_an_answer_keeps_order_and_case() -> None:
    response = Response(200, "OK", (("X-CSTP-Version", "1"), ("set-cookie", "a")), b"hi")
    assert build_response(response) == (
        b"HTTP/1.1 200 OK\r\nX-CSTP-Version: 1\r\nset-cookie: a\r\nContent-Length: 2\r\n\r\nhi"
    )


def test_an_answer_says_that_it_is_the_last() -> None:
    assert build_response(Response(200, "OK"), close=True) == (
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    )


def test_a_header_cannot_begin_another() -> None:
    assert one_line("a\r\nSet-Cookie: b\0") == "a  Set-Cookie: b "


@given(st.lists(st.binary(max_size=200), max_size=8))
def test_bytes_of_any_kind_raise_nothing_else(pieces: list[bytes]) -> None:
    reader = RequestReader()
    try:
        for piece in pieces:
            reader.receive_data(piece)
            reader.next_request()
    except ClientError:
        pass


@given(
    st.sampled_from([b"GET", b"POST", b"CONNECT", b"get", b"\xff"]),
    st.binary(max_size=40),
    st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=40)), max_size=5),
    st.binary(max_size=30),
)
def test_almost_requests_raise_nothing_else(
    method: bytes, target: bytes, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    with contextlib.suppress(ClientError):
        read(method + b" /" + target + b" HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n" + body)


@given(st.binary(max_size=300), st.data())
def test_a_body_is_the_same_however_it_is_cut(body: bytes, data: st.DataObject) -> None:
    message = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    cut = data.draw(st.integers(0, len(message)))
    reader = RequestReader()
    reader.receive_data(message[:cut])
    first = reader.next_request()
    reader.receive_data(message[cut:])
    request = first or reader.next_request()
    assert request is not None
    assert request.body == body

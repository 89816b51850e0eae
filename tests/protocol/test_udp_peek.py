"""Captured first datagrams of every kind of client, and what anybody else may send instead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocserv_core.protocol.udp_peek import MAX_DATAGRAM, MAX_EXTENSIONS, MAX_ID, Hello, Record, peek

# openconnect 9.01 (GnuTLS), PSK.
GNUTLS = bytes.fromhex(
    "16feff0000000000000000009b0100008f000000000000008ffefdae57cc612e94b77768c99a276104b4af0bb4f902134ad0"
    "e850b805088183be3620421e974daef901c7ecd1e561f37cee59dca36e4ed83b2938ba88afefdc4276a100001000a9ccabc0"
    "a5008d00a8c0a4008c00ae01000035000d00220020040108090804040308070501080a0805050308080601080b0806060302"
    "01020300230000ff01000100001c00024000"
)

# openconnect 9.21 (OpenSSL), PSK; and its second hello, after a HelloVerifyRequest.
OPENSSL = bytes.fromhex(
    "16feff00000000000000000106010000fa00000000000000fafefdd5bcbbdfe07a7be3efdedad4cbe768642dc6885e77a20b"
    "00159eb496ed3c8e0720e0c1c6553a4103190613d8250b85adc99a2df331015c9235ba5836c79a6ee83f00006200ad00abcc"
    "aeccadccacc0abc0a7c06fc06d00a9ccabc0a9c0a5c06b00ac00aac0aac0a6c06ec06c00a8c0a8c0a4c06ac038c03600b700"
    "b300950091c09bc099c09700af008dc095c037c03500b600b200940090c09ac098c09600ae008cc09400ff0100004e000b00"
    "0403000102000a000c000a001d0017001e001900180023000000170000000d002a0028040305030603080708080809080a08"
    "0b080408050806040105010601030303010302040205020602"
)
SECOND = (
    bytes.fromhex(
        "16feff0000000000000001011a0100010e000100000000010efefdf48994bfbffe66328ce371e188aba063a48a8a89f11d4d"
        "08aafef7af8752a829206c5682ecca3311395e6148d68cffe666eaf6d0fee2558dc9ff286ab4add7eb3b14263febdbec5655"
        "64cb30ad5db6394d09ea87ec51"
    )
    + OPENSSL[93:]
)
HELLO_VERIFY_REQUEST = bytes.fromhex(
    "16feff00000000000000000023030000170000000000000017feff14263febdbec565564cb30ad5db6394d09ea87ec51"
)

# openconnect 7.08: the id is in an extension, the session id empty.
OLD = bytes.fromhex(
    "16feff00000000000000000062010000560000000000000056fefd404142434445464748494a4b4c4d4e4f50515253545556"
    "5758595a5b5c5d5e5f0000000200a90100002aff01000100bb92002120000102030405060708090a0b0c0d0e0f1011121314"
    "15161718191a1b1c1d1e1f"
)

# Legacy: resumption by DTLS 1.2, and by DTLS 0.9.
LEGACY = bytes.fromhex(
    "16fefd0000000000000000008d010000810000000000000081fefda3795957383c1223a622d43b13240228bdb4bbfc95f73e"
    "9e23b9c2355b882a82204fea69a67001ca61663483af5034daa8307275b0c516cba35e1fef22f8a8e722000002009c010000"
    "35000d00220020040108090804040308070501080a0805050308080601080b080606030201020300230000ff01000100001c"
    "00024000"
)
DTLS09 = bytes.fromhex(
    "160100000000000000000000670100005b000000000000005b010029c6c6b6b201dc987d13f6d4e1370a43f58df0f6d5a470"
    "bb97df0a3a6385260220258c40cb0fc603e6c5f2f29aee51cea59c1ffb1eedb18e4928e19bf45a394331000002002f010000"
    "0f00230000ff01000100001c00024000"
)

CHANGE_CIPHER_SPEC = bytes.fromhex("14fefd0000000000000001000101")
FINISHED = bytes.fromhex(
    "16fefd000100000000000000300001000000000000472548698d31d7ff7696a6554b884542864740f3b043a3981e75d7c4cb"
    "65cb61f4ec891733d95684"
)
FINISHED09 = bytes.fromhex(
    "16010000010000000000000040fb70e506d91e8f4d26f206d5639a5146cdc1fc5b210034788dd688bba8149e92b3b1941ae3"
    "1cbf48fca91fe6a4a1b94a678dbc204513fbfff77a99c1df28a3a9"
)

HELLOS = {
    "gnutls": (GNUTLS, "421e974daef901c7ecd1e561f37cee59dca36e4ed83b2938ba88afefdc4276a1"),
    "openssl": (OPENSSL, "e0c1c6553a4103190613d8250b85adc99a2df331015c9235ba5836c79a6ee83f"),
    "second": (SECOND, "6c5682ecca3311395e6148d68cffe666eaf6d0fee2558dc9ff286ab4add7eb3b"),
    "old": (OLD, bytes(range(32)).hex()),
    "legacy": (LEGACY, "4fea69a67001ca61663483af5034daa8307275b0c516cba35e1fef22f8a8e722"),
    "dtls 0.9": (DTLS09, "258c40cb0fc603e6c5f2f29aee51cea59c1ffb1eedb18e4928e19bf45a394331"),
}

ID, OTHER_ID = bytes(range(32)), bytes(range(32, 64))


def list_of(data: bytes, width: int) -> bytes:
    return len(data).to_bytes(width, "big") + data


def extension(kind: int, data: bytes) -> bytes:
    return kind.to_bytes(2, "big") + list_of(data, 2)


def app_id(value: bytes) -> bytes:
    return extension(48018, list_of(value, 1))


def hello(session_id: bytes = ID, extensions: bytes = b"", *, random: bytes = b"r" * 32, kind: int = 1) -> bytes:
    """A ClientHello with one cipher suite."""
    lists = list_of(session_id, 1) + b"\0" + list_of(b"\0\xa9", 2) + b"\1\0" + list_of(extensions, 2)
    message = b"\xfe\xfd" + random + lists
    header = bytes([kind]) + len(message).to_bytes(3, "big") + bytes(5) + len(message).to_bytes(3, "big")
    return b"\x16\xfe\xff" + bytes(8) + list_of(header + message, 2)


def record(content_type: int = 23, version: bytes = b"\xfe\xfd", epoch: int = 1, body: bytes = b"x" * 32) -> bytes:
    return bytes([content_type]) + version + epoch.to_bytes(2, "big") + bytes(6) + list_of(body, 2)


# ---- hellos


@pytest.mark.parametrize("name", HELLOS)
def test_every_client_s_hello_has_its_id(name: str) -> None:
    datagram, found = HELLOS[name]
    assert peek(datagram) == Hello(bytes.fromhex(found))


@pytest.mark.parametrize("name", HELLOS)
def test_a_hello_that_is_cut_off_anywhere_is_nothing(name: str) -> None:
    datagram, _ = HELLOS[name]
    assert {peek(datagram[:length]) for length in range(len(datagram))} == {None}


@pytest.mark.parametrize("name", HELLOS)
def test_what_stands_behind_the_first_record_is_not_looked_at(name: str) -> None:
    datagram, _ = HELLOS[name]
    assert peek(datagram + b"anything") == peek(datagram)


@pytest.mark.parametrize("name", HELLOS)
@given(data=st.data())
def test_a_hello_with_a_byte_changed_raises_nothing(name: str, data: st.DataObject) -> None:
    datagram = bytearray(HELLOS[name][0])
    datagram[data.draw(st.integers(0, len(datagram) - 1))] = data.draw(st.integers(0, 255))
    assert_sane(peek(bytes(datagram)))


def test_a_random_of_zeros_is_refused() -> None:
    assert peek(hello(random=bytes(32))) is None
    assert peek(hello(random=bytes(31) + b"\1")) == Hello(ID)


@pytest.mark.parametrize("length", [1, 31, 32])
def test_an_id_of_these_lengths_is_one(length: int) -> None:
    assert peek(hello(ID[:length])) == Hello(ID[:length])


@pytest.mark.parametrize("session_id", [b"", bytes(33), bytes(255)])
def test_an_id_of_other_lengths_is_none(session_id: bytes) -> None:
    assert peek(hello(session_id)) is None


def test_the_extension_goes_before_the_session_id() -> None:
    assert peek(hello(OTHER_ID, extension(0xFF01, b"\0") + app_id(ID))) == Hello(ID)


@pytest.mark.parametrize("value", [b"", bytes(33)])
def test_an_extension_without_an_id_of_the_right_length_is_refused(value: bytes) -> None:
    assert peek(hello(OTHER_ID, app_id(value))) is None


MALFORMED = {
    "no list in the extension": extension(48018, b""),
    "a list longer than its extension": extension(48018, b"\x21" + ID),
    "an extension longer than all": b"\xbb\x92\xff\xff" + ID,
    "half an extension before it": extension(5, b"abc")[:-1],
    "another one only": extension(48017, list_of(ID, 1)),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_without_an_extension_that_can_be_read_it_is_the_session_id(name: str) -> None:
    assert peek(hello(OTHER_ID, MALFORMED[name])) == Hello(OTHER_ID)


def test_not_every_extension_of_a_long_list_is_looked_at() -> None:
    before = extension(5, b"")
    assert peek(hello(OTHER_ID, before * (MAX_EXTENSIONS - 1) + app_id(ID))) == Hello(ID)
    assert peek(hello(OTHER_ID, before * MAX_EXTENSIONS + app_id(ID))) == Hello(OTHER_ID)


@pytest.mark.parametrize("kind", [0, 2, 3, 16, 20])
def test_another_message_of_a_handshake_is_nothing(kind: int) -> None:
    assert peek(hello(kind=kind)) is None


def test_a_later_fragment_of_a_hello_is_nothing() -> None:
    datagram = bytearray(hello())
    datagram[21] = 1  # of the offset's three bytes the last
    assert peek(bytes(datagram)) is None


@pytest.mark.parametrize("at", [1, 25])
@pytest.mark.parametrize("version", [b"\x03\x03", b"\x01\x01", b"\0\0", b"\xff\xff"])
def test_a_hello_of_another_protocol_is_nothing(at: int, version: bytes) -> None:
    datagram = hello()
    assert peek(datagram[:at] + version + datagram[at + 2 :]) is None


def test_what_a_server_says_is_nothing() -> None:
    assert peek(HELLO_VERIFY_REQUEST) is None


# ---- records


@pytest.mark.parametrize("datagram", [FINISHED, FINISHED09, record()])
def test_a_protected_record_is_of_an_unknown_flow(datagram: bytes) -> None:
    assert peek(datagram) == Record()


@pytest.mark.parametrize(("content_type", "found"), [(19, None), (20, Record()), (25, Record()), (26, None)])
def test_only_the_types_of_the_protocol_are_records(content_type: int, found: Record | None) -> None:
    assert peek(record(content_type)) == found


@pytest.mark.parametrize("datagram", [CHANGE_CIPHER_SPEC, record(epoch=0), record(21, epoch=0)])
def test_what_is_not_protected_is_opened_by_nobody_s_keys(datagram: bytes) -> None:
    assert peek(datagram) is None


@pytest.mark.parametrize("version", [b"\x03\x03", b"\x01\x01", b"\0\0"])
def test_a_record_of_another_protocol_is_nothing(version: bytes) -> None:
    assert peek(record(version=version)) is None


def test_a_record_has_a_body_and_all_of_it() -> None:
    assert peek(record(body=b"")) is None
    assert peek(record()[:-1]) is None


def test_a_datagram_is_no_longer_than_the_longest_record() -> None:
    longest = record(body=bytes(MAX_DATAGRAM - 13))
    assert peek(longest) == Record()
    assert peek(longest + b"\0") is None


# ---- anything


def assert_sane(found: Hello | Record | None) -> None:
    assert not isinstance(found, Hello) or 0 < len(found.id) <= MAX_ID


@given(st.binary(max_size=300))
def test_any_bytes_are_something_or_nothing(datagram: bytes) -> None:
    assert_sane(peek(datagram))


@given(st.binary(max_size=100))
def test_any_bytes_after_a_hello_s_random_are_an_id_or_nothing(lists: bytes) -> None:
    body = hello()[13 : 13 + 46] + lists
    found = peek(hello()[:11] + list_of(body, 2))
    assert not isinstance(found, Record)
    assert_sane(found)


@given(
    st.binary(min_size=1, max_size=32), st.lists(st.tuples(st.integers(0, 48017), st.binary(max_size=9)), max_size=9)
)
def test_an_id_is_found_behind_any_extensions(found: bytes, before: list[tuple[int, bytes]]) -> None:
    extensions = b"".join(extension(kind, data) for kind, data in before)
    assert peek(hello(b"", extensions + app_id(found))) == Hello(found)

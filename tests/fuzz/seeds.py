"""Writes the seeds of the corpus: `python -m tests.fuzz.seeds`. What fuzzing finds is put beside them by hand.

The formats are told at the head of each fuzzer.
"""

from __future__ import annotations

import ssl
import struct
from collections.abc import Mapping
from pathlib import Path

from ocserv_core.bridge._native import ffi, lib

from ..bridge import captured
from ..bridge.packet_model import ACK, CWR, FIN, PSH, Ip, Tcp, Vnet, gathered_vnet, udp, unsummed
from ..protocol import test_proxyproto as proxy_headers

CORPUS = Path(__file__).parent / "corpus"
V4, V6 = Ip(), Ip("2001:db8::1", "2001:db8:1::7")
TEXT = b"the quick brown fox jumps over the lazy dog, " * 6

Seeds = Mapping[str, bytes]


def _short(data: bytes) -> bytes:
    return struct.pack("<H", len(data)) + data


# ---- segment: options, vnet header, packet


def segment() -> Seeds:
    many = {
        "tcp4": Tcp(flags=ACK | PSH | FIN | CWR).on(V4, TEXT),
        "tcp6": Tcp(options=b"\1\1\x08\x0a" + bytes(8)).on(V6, TEXT),
        "udp4": udp(V4, TEXT),
        "udp6": udp(V6, TEXT),
    }
    seeds = {name: b"\0" + bytes(gathered_vnet(packet, 100)) + unsummed(packet) for name, packet in many.items()}
    for options, name in ((1, "tcp4"), (3, "udp6")):
        seeds[f"{name}-made-fit"] = bytes([options]) + bytes(Vnet(gso_size=50)) + many[name]
    left_undone = Vnet(flags=1, csum_start=20, csum_offset=16)
    return seeds | {
        "one": b"\0" + bytes(left_undone) + unsummed(many["tcp4"]),
        "plain": b"\0" + bytes(10) + many["udp4"],
    }


# ---- coalesce: options, then steps of options, kind, payload's size

TCP4, TCP6, UDP4, UDP6, MAY_FRAGMENT, GAP, FLAGS, ODD, CORRUPT = 0, 1, 2, 3, 4, 8, 16, 32, 128


def _made(kind: int, size: int, more: bytes = b"", options: int = 4) -> bytes:
    return bytes([options, kind]) + struct.pack("<H", size) + more


def coalesce() -> Seeds:
    runs = {"tcp4": TCP4, "tcp6": TCP6, "udp4": UDP4, "udp6": UDP6, "ids": TCP4 | MAY_FRAGMENT}
    seeds = {name: b"\0" + _made(kind, 500) * 6 + _made(kind, 20) for name, kind in runs.items()}
    raw = captured.PING.plain[1:]
    return seeds | {
        "long": b"\0" + _made(TCP4, 1399) * 60,
        "tiny": b"\0" + _made(TCP4, 3, options=8) * 40,
        "limit-of-udp": b"\0" + _made(UDP4, 50) * 70,
        "numbers-wrap": b"\x0c" + _made(TCP4, 1000) * 6,
        "corrupt": b"\0" + _made(TCP4, 100) + _made(TCP4 | CORRUPT, 100, b"\x40\0\1") + _made(TCP4, 100),
        "odd": b"\0" + b"".join(_made(TCP4, 60) + _made(TCP4 | ODD, 60, bytes([at, 1])) for at in range(0, 40, 3)),
        "push": b"\0" + (_made(TCP4, 90) * 3 + _made(TCP4 | FLAGS, 90, bytes([ACK | PSH]))) * 3,
        "gaps": b"\0" + (_made(TCP4, 90) * 2 + _made(TCP4 | GAP, 90, b"\5")) * 3,
        "from-elsewhere": b"\0" + (_made(TCP4, 90) + _made(TCP4, 90, options=4 | 32)) * 4,
        "with-failures": b"\0" + _made(TCP4, 200, options=4 | 16) * 6,
        "captured": b"\0" + (bytes([4 | 1 | 2, len(raw)]) + raw) * 3,
        "no-tcp": b"\1" + (_made(TCP4, 100) * 2 + _made(UDP4, 100) * 2) * 2,
    }


# ---- compress: options, room, data

LZ4_BLOCK = bytes.fromhex(
    "f018450004046b854000400176d9c6336432c63364010800d4ae354f000161cf036b00000000125d0d07002f00410100ffffffc2504141414141"
)
SPOILT = {
    "empty": b"",
    "endless-length": b"\xff" * 60,
    "far-offset": b"\x10A\xff\xff\0",
    "overlap": b"\x1fA\1\0" + b"\xff" * 8,
}


def _packed(algorithm: int, plain: bytes) -> bytes:
    out = ffi.new("uint8_t[]", 2 * len(plain) + 100)
    n = lib.oc_compress(algorithm, plain, len(plain), out, 2 * len(plain) + 100)
    return bytes(ffi.buffer(out, n))


def compress() -> Seeds:
    room = struct.pack("<H", 16384)
    seeds = {"lz4-captured": b"\0" + room + LZ4_BLOCK}
    for number, name in enumerate(("lz4", "lzs")):
        algorithm = (lib.OC_COMPRESS_LZ4, lib.OC_COMPRESS_LZS)[number]
        for what, plain in (("text", TEXT), ("zeros", bytes(1400)), ("packet", captured.PING.plain[1:])):
            seeds[f"{name}-{what}"] = bytes([number]) + room + _packed(algorithm, plain)
            seeds[f"{name}-{what}-round-trip"] = bytes([number | 2 | 4]) + room + plain
            seeds[f"{name}-{what}-no-room"] = (
                bytes([number]) + struct.pack("<H", len(plain) - 1) + _packed(algorithm, plain)
            )
        for what, spoilt in SPOILT.items():
            seeds[f"{name}-{what}"] = bytes([number]) + room + spoilt
    return seeds


# ---- stream: options, then steps

VNET, LZ4, LZS, TLS13 = 1, 16, 32, 128
FRAMES = {
    "dpd": "5354460100000300",
    "dpd-payload": "535446010008030001020368656c6c6f",
    "keepalive": "5354460100000700",
    "bye": "5354460100120500b041626f727465642062792063616c6c6572",
    "terminate": "5354460100000900",
    "router-solicitation": "53544601003000006000000000083afffe80000000000000bc5a53e98c210ea6"
    "ff0200000000000000000000000000028500d22b00000000",
    "bad-magic": "5354580100000300",
    "bad-flag": "5354460100000301",
    "too-long": "53544601000503006162",
}


def _record(content: bytes, kind: int = 0) -> bytes:
    return bytes([1 | kind << 2, len(content)]) + content


def _frame(kind: int, size: int, count: int = 1, more: bytes = b"") -> bytes:
    one = bytes([8, kind]) + struct.pack("<H", size) + more
    return bytes([2 | (count - 1) << 2]) + one * count


def stream() -> Seeds:
    seeds = {f"frame-{name}": bytes([TLS13]) + _record(bytes.fromhex(text)) for name, text in FRAMES.items()}
    packed = _packed(lib.OC_COMPRESS_LZS, captured.PING.plain[1:])
    compressed = b"STF\1" + struct.pack(">H", len(packed)) + b"\x08\0" + packed
    return seeds | {
        "run": bytes([TLS13 | VNET]) + _frame(TCP4, 600) * 8,
        "run-tls12": bytes([VNET]) + _frame(TCP6, 600) * 8,
        "several-in-a-record": bytes([TLS13 | VNET]) + _frame(UDP4, 300, 4) * 4,
        "tun-full": bytes([VNET])
        + b"".join(bytes([_frame(UDP4, 1300)[0] | 128]) + _frame(UDP4, 1300)[1:] for _ in range(200)),
        "foreign": bytes([TLS13 | VNET | 8]) + _frame(TCP4, 100) * 2 + _frame(TCP6, 100),
        "lzs": bytes([TLS13 | LZS]) + _record(compressed) * 2,
        "lzs-spoilt": bytes([LZS]) + _record(b"STF\1\0\5\x08\0\xff\xff\xff\xff\xff"),
        "key-update": bytes([TLS13]) + (_record(b"\x18\0\0\1\1", 2) + _frame(TCP4, 50)) * 3,
        "close-notify": bytes([TLS13]) + _record(b"\1\0", 1),
        "renegotiation": b"\0" + _record(b"\1\0\0\0", 2),
        "flipped": bytes([TLS13]) + bytes([1 | 16, 3]) + b"abc" + b"\x07\0\1",
        "raw": b"\0\0\x15" + b"\x17\3\3\0\x10" + bytes(16),
        "in-pieces": bytes([TLS13]) + b"\x20\5\x17\3\3\0\x20\0\x10" + bytes(16) + b"\0\x10" + bytes(16),
        "http": b"\0\0\x12GET / HTTP/1.1\r\n\r\n",
    }


# ---- datagrams: options, then steps

BOTH, MEASURE = 64, 128


def _sealed(content: bytes, how: int = 0, options: int = 0) -> bytes:
    return bytes([how, options | 4 | 8, content[0], len(content) - 1]) + content[1:]


def _carried(kind: int, size: int, how: int = 0, options: int = 0) -> bytes:
    return bytes([how, options, kind]) + struct.pack("<H", size)


def datagrams() -> Seeds:
    seeds = {
        f"captured-{name.replace(' ', '-').replace(chr(39), '')}": b"\0\1" + bytes([len(one.record)]) + one.record
        for name, one in captured.ALL.items()
    }
    replayed = b"\0" + bytes([32, TCP4]) + struct.pack("<HH", 100, 7)
    hello = b"\x16\xfe\xff" + bytes(9) + b"\x19\1" + bytes(24)
    return seeds | {
        "run": bytes([VNET]) + _carried(TCP4, 600) * 8,
        "one-datagram": bytes([VNET]) + _carried(TCP6, 600, how=2) * 8 + _carried(TCP6, 6),
        "control": b"\0" + _sealed(b"\3probe") + _sealed(b"\4") + _sealed(b"\7") + _sealed(b"\5"),
        "two-sessions": bytes([VNET | BOTH]) + (_carried(TCP4, 300) + _carried(TCP4, 300, options=16)) * 4,
        "measured": bytes([VNET | MEASURE]) + _carried(UDP4, 300) * 8,
        "replayed": b"\0" + replayed * 2,
        "alert": b"\0" + _sealed(b"\1\0", options=128),
        "handshake-under-keys": b"\0" + _sealed(b"\1" + bytes(40), options=192),
        "hello": b"\0\1" + bytes([len(hello)]) + hello + _carried(TCP4, 40),
        "change-cipher-spec": b"\0\1\x0e\x14\xfe\xfd" + bytes(8) + b"\0\1\1",
        "lzs-spoilt": bytes([LZS]) + _sealed(b"\x08\xff\xff\xff"),
        "lz4": bytes([LZ4]) + _sealed(b"\x08" + LZ4_BLOCK),
        "merged": bytes([VNET])
        + (_carried(UDP4, 100, how=2) * 3 + b"\4" + bytes([0, UDP4]) + struct.pack("<HH", 100, 166)),
        "foreign": bytes([VNET | 8]) + _carried(TCP4, 100) + _carried(TCP6, 100) + _carried(TCP4, 100),
    }


# ---- library: options, then steps


def library() -> Seeds:
    def packet(kind: int, size: int, options: int = 4) -> bytes:
        return bytes([options, kind]) + struct.pack("<H", size)

    def said(kind: int, payload: bytes, options: int = 8) -> bytes:
        return bytes([options, len(payload)]) + payload + bytes([kind])

    tls, dtls = bytes([VNET]), bytes([VNET | 128])
    seeds = {}
    for name, begin in (("tls", tls), ("dtls", dtls)):
        seeds[f"{name}-run"] = begin + packet(TCP4, 500) * 5
        seeds[f"{name}-control"] = begin + said(3, b"probe") + said(7, b"") + said(5, b"bye")
        seeds[f"{name}-flipped"] = begin + packet(UDP4, 50) + packet(UDP4, 50, options=4 | 2) + b"\x30\0\1"
        seeds[f"{name}-raw"] = begin + bytes([1, 21]) + b"\x17\3\3\0\x10" + bytes(16)
    both = bytes([VNET | 128 | 64])
    seeds["dtls-two-sessions"] = both + (packet(TCP4, 100) + packet(TCP4, 100, options=4 | 16)) * 3
    seeds["dtls-moved"] = dtls + packet(TCP4, 100) + packet(TCP4, 100, options=4 | 64) + packet(TCP4, 100)
    return seeds


# ---- hello: options, then a ClientHello's body, or pieces of the stream


def _client_hello() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    wrapped = context.wrap_bio(incoming, outgoing, server_hostname="vpn.example.org")
    try:
        wrapped.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError("a handshake without an answer")


def hello() -> Seeds:
    record = _client_hello()
    body = record[9:]
    return {
        "named": b"\0" + body,
        "cut": b"\0" + body[:-10],
        "no-extensions": b"\0" + b"\3\3" + bytes(32) + b"\0\0\2\0\x2f\1\0",
        "nothing": b"\1",
        "stream": b"\1" + _short(record),
        "stream-in-pieces": b"\1" + _short(record[:3]) + _short(record[3:100]) + _short(record[100:]),
        "http": b"\1" + _short(b"GET / HTTP/1.1\r\n\r\n"),
        "ssl2": b"\1" + _short(b"\x80\x2e\1\0\2" + bytes(40)),
        "too-long": b"\1" + _short(b"\x16\3\1\xff\xff" + bytes(100)),
    }


# ---- proxyproto: a PROXY header, and what follows


def proxyproto() -> Seeds:
    names = {name.replace(" ", "-").replace(",", ""): data for name, (data, _) in proxy_headers.GOOD.items()}
    spoilt = {name.replace(" ", "-").replace("'", ""): data for name, (data, _) in proxy_headers.BAD.items()}
    short = {name: data + proxy_headers.HELLO for name, data in (names | spoilt).items() if len(data) <= 400}
    return short | {"v2-cut": names["v2-TCP6"][:-9]}


def write() -> None:
    """All of them; what is there already under another name stays."""
    for make in (segment, coalesce, compress, stream, datagrams, library, hello, proxyproto):
        folder = CORPUS / make.__name__
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in make().items():
            (folder / name).write_bytes(data)


if __name__ == "__main__":
    write()

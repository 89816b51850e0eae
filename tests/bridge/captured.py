"""Records of a real client and its server (openconnect 9.01), with the keys that they were sealed with."""

from __future__ import annotations

from dataclasses import dataclass

from .record_model import SUITES, Half, Suite


@dataclass(frozen=True)
class Captured:
    """A record, what is in it, and the keys of its direction."""

    half: Half
    record: bytes
    plain: bytes


def _captured(suite: Suite, key: str, iv: str, record: str, plain: str) -> Captured:
    half = Half(suite, False, bytes.fromhex(key), bytes.fromhex(iv))
    return Captured(half, bytes.fromhex("".join(record.split())), bytes.fromhex("".join(plain.split())))


AES128, AES256 = SUITES[0], SUITES[1]

# PSK-NEGOTIATE, PSK-AES256-GCM-SHA384.
_CLIENT = (AES256, "2936c2467e94509bd4a20db7298d2d451bf468fb99f73bb9f896c807819e4596", "74ea5933")
_SERVER = (AES256, "0dd7d878bad51f765c979440977be61180d8f08a2bf33451171dc6cd3e10f7bf", "d8e65fb1")
CLIENT_FINISHED = _captured(
    *_CLIENT,
    """16fefd0001000000000000003000010000000000006a8f718fed0e6b1d92533cf9d1f8136e28ad70454c9000b50f1f3f165cc8920af528ee22
    e110b013""",
    "1400000c000200000000000cd48442ac3da34cb9f8523e0e",
)
SERVER_FINISHED = _captured(
    *_SERVER,
    """16fefd0001000000000000003000010000000000006ec9bc4422bba2f02177ef7bed205a8795ba4f471971a873efa3410bed3fae4720b0bc12
    4645763c""",
    "1400000c000200000000000c59d5ba0513fb871545794c14",
)
COMPRESSED = _captured(
    *_CLIENT,
    """17fefd000100000000000200420001000000000002b43c51c4992d167fe1c921312d64c7a8abc5edd437009fdceffd2cb760b5e48d2e1ccd6
    2e61d31e8a5af3e4e1d4ecebf7d083988003c176b70f9""",
    "08a06000000000083afffe800900c00000288db339c00b78b0ff020e000502009002850068b400000000",
)
PING = _captured(
    *_CLIENT,
    """17fefd0001000000000004006d0001000000000004039fbb07f9bd47f4c3bab3a443afb62523b8e4ac9bf155e3ebda423fd0c58557c2e767
    bd507ae8441ef91290d2ab5c5f9723cfa47a9feec5e1cba0a9c1a27cb511ec9a2a9af9958f62ef2e0c0dc3849fa356a8df872c709e219b04b8
    024660dec32375f0c0""",
    """00450000546ad9400040017b35c6336432c6336401080057fe34d200015fcf036b000000003c210d0000000000101112131415161718191a1b
    1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637""",
)

# X-DTLS-Master-Secret, AES128-GCM-SHA256; the keys are RFC 5246 6.3's from it and both randoms.
LEGACY_CLIENT_FINISHED = _captured(
    AES128,
    "39c246d7be2ccfcda79bfe5c3e529f2f",
    "fba4bfda",
    """16fefd000100000000000000300001000000000000a370c9071d87710e522d8de251d67662c9390f24211e2fde9be77d3a19677eeff0cdf695
    636e7632""",
    "1400000c000100000000000c4eacd50f36c7d2f0f9f0dc92",
)
LEGACY_SERVER_FINISHED = _captured(
    AES128,
    "00eed8c335ee969d850c21903e013fe5",
    "a255d9cb",
    """16fefd000100000000000000300001000000000000472548698d31d7ff7696a6554b884542864740f3b043a3981e75d7c4cb65cb61f4ec8917
    33d95684""",
    "1400000c000100000000000c37739157d9fe7ed00ba90f99",
)

ALL = {
    "client's finished": CLIENT_FINISHED,
    "server's finished": SERVER_FINISHED,
    "compressed": COMPRESSED,
    "ping": PING,
    "legacy client's finished": LEGACY_CLIENT_FINISHED,
    "legacy server's finished": LEGACY_SERVER_FINISHED,
}

"""Compression with the real client, which tells of each packet what it was and became."""

from __future__ import annotations

import random
import re

import pytest

from .client import Client
from .lab import GATEWAY4, GATEWAY6, Lab, Option
from .traffic import arrives_whole, connected, datagrams_arrive, echoed, receive

TALKATIVE = ("--verbose", "--verbose")
NAMES = {"oc-lz4": "LZ4", "lzs": "LZS"}
OPTIONS: dict[str, dict[str, Option]] = {
    "oc-lz4": {},
    "lzs": {"compression_algo_priority": "lzs:95"},
}
CHANNELS = {"dtls": (), "tls": ("--no-dtls",)}

ALGORITHMS = pytest.mark.parametrize("algorithm", OPTIONS)
EACH_CHANNEL = pytest.mark.parametrize("channel", CHANNELS)


def _connect(lab: Lab, channel: str = "dtls") -> Client:
    client = lab.connect("alice", *TALKATIVE, *CHANNELS[channel])
    if channel == "dtls":
        client.await_dtls()
    return client


def _ping_with_zeros(client: Client, count: int = 1) -> None:
    done = client.host.run("ping", "-c", str(count), "-i", "0.05", "-W", "2", "-s", "1000", "-p", "00", GATEWAY4)
    assert done.returncode == 0


@ALGORITHMS
def test_an_algorithm_is_agreed_upon_for_both_channels(lab: Lab, algorithm: str) -> None:
    server = lab.start_server(udp_port=443, compression=True, **OPTIONS[algorithm])
    client = _connect(lab)
    assert client.output.find(f"^X-CSTP-Content-Encoding: {algorithm}$")
    assert client.output.find(f"^X-DTLS-Content-Encoding: {algorithm}$")
    (user,) = server.show("users")
    assert (user["CSTP compression"], user["DTLS compression"]) == (algorithm, algorithm)


@ALGORITHMS
@EACH_CHANNEL
def test_packets_are_compressed_both_ways(lab: Lab, algorithm: str, channel: str) -> None:
    lab.start_server(udp_port=443, compression=True, **OPTIONS[algorithm])
    client = _connect(lab, channel)
    _ping_with_zeros(client)
    came = client.output.wait_for(rf"^Received {NAMES[algorithm]} compressed data packet of 1028 bytes \(was (\d+)\)")
    assert int(came[1]) < 200
    sent = {
        "dtls": r"^Sent DTLS packet of 1028 bytes; DTLS send returned (\d+)$",
        "tls": r"^Sending compressed data packet of (\d+) bytes \(was 1028\)$",
    }[channel]
    assert int(client.output.wait_for(sent)[1]) < 200


@ALGORITHMS
@EACH_CHANNEL
def test_what_can_and_what_cannot_be_compressed_arrives_whole(lab: Lab, algorithm: str, channel: str) -> None:
    lab.start_server(udp_port=443, compression=True, **OPTIONS[algorithm])
    client = lab.connect("alice", *CHANNELS[channel])
    both_ways = ((client.host, lab.namespace, GATEWAY4), (lab.namespace, client.host, client.address6))
    for source, target, address in both_ways:
        assert arrives_whole(source, target, address, 1_000_000)
        with connected(source, target, address) as (near, far):
            for text in _texts():
                near.sendall(text)
                assert receive(far, len(text)) == text
    sizes = [random.Random(number).randrange(4, 1300) for number in range(300)]
    assert datagrams_arrive(lab.namespace, client.host, client.address4, sizes) == len(sizes)
    assert echoed(client.host, GATEWAY6, range(0, 1300, 50)) == list(range(0, 1300, 50))


def _texts() -> list[bytes]:
    """From what shrinks to nearly nothing, to what does not shrink."""
    mixed = b"".join(random.Random(part).randbytes(part) + bytes(40 - part) for part in range(40))
    words = b" ".join(str(number).encode() for number in range(4000))
    return [bytes(50_000), mixed * 20, words, random.Random(0).randbytes(50_000)]


def test_packets_up_to_no_compress_limit_are_sent_as_they_are(lab: Lab) -> None:
    lab.start_server(udp_port=443, compression=True, no_compress_limit=1100)
    client = _connect(lab)
    _ping_with_zeros(client)
    client.output.wait_for("^Received DTLS packet 0x00 of 1029 bytes")
    assert client.host.run("ping", "-c", "1", "-W", "2", "-s", "1200", "-p", "00", GATEWAY4).returncode == 0
    client.output.wait_for("^Received DTLS packet 0x08 of ")


def test_without_compression_nothing_is_compressed(lab: Lab) -> None:
    server = lab.start_server(udp_port=443)
    client = _connect(lab)
    _ping_with_zeros(client, 3)
    assert not client.output.find("Content-Encoding")
    client.output.wait_for("^Received DTLS packet 0x00 of 1029 bytes", times=3)
    assert "compression" not in server.occtl("show", "user", "alice").stdout


def test_a_client_that_wants_no_compression_gets_none(lab: Lab) -> None:
    lab.start_server(udp_port=443, compression=True)
    client = lab.connect("alice", *TALKATIVE, "--no-deflate")
    client.await_dtls()
    _ping_with_zeros(client)
    assert not client.output.find("Content-Encoding")
    assert not re.search("compressed data packet of 1028", client.output.text)

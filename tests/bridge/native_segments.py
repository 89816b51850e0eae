"""native/segment.c and coalesce.c by themselves, as the pump uses them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ocserv_core.bridge._native import ffi, lib

from .packet_model import Vnet

if TYPE_CHECKING:
    from ocserv_core.bridge._native import CData

HEADROOM = 16
GUARD = b"\xa5" * HEADROOM


def segments(vnet: Vnet, packet: bytes) -> list[bytes] | None:
    """What a packet of the TUN becomes; None where it is refused. Each segment is used up before the next, and nothing
    before or behind the packet may change."""
    memory = ffi.new("uint8_t[]", GUARD + packet + GUARD)
    state, header, n = ffi.new("struct oc_segments *"), ffi.new("struct oc_vnet *"), ffi.new("size_t *")
    ffi.buffer(header)[:] = bytes(vnet)
    if lib.oc_segments_begin(state, header, memory + HEADROOM, len(packet)) < 0:
        return None
    made = []
    while (at := lib.oc_segments_next(state, n)) != ffi.NULL:
        made.append(bytes(ffi.buffer(at, n[0])))
        # What the pump does with it: whatever lies before the next segment's payload may be written over.
        ffi.buffer(at, n[0])[:] = b"\xee" * n[0]
    after = bytes(ffi.buffer(memory, len(packet) + 2 * HEADROOM))
    assert after[:HEADROOM] == after[-HEADROOM:] == GUARD
    return made


class Coalescer:
    """Gathers packets as upstream.c does."""

    def __init__(self, tcp: bool = True, udp: bool = True) -> None:
        self._memory = ffi.new("uint8_t[]", lib.OC_COALESCE_SIZE)
        self._c = ffi.new("struct oc_coalescer *")
        lib.oc_coalesce_open(self._c, self._memory)
        self._c.tcp, self._c.udp = tcp, udp
        self.written: list[tuple[Vnet, bytes]] = []
        self.counted: list[tuple[int, int]] = []
        """Packets and bytes of each write."""

    def place(self, packet: bytes, prefix: int = 8) -> None:
        """A packet that is opened to where it would continue the others."""
        at = self._placed(b"\xcc" * prefix + packet, prefix)
        self._take(at + prefix, len(packet))

    def drop(self, content: bytes, prefix: int = 8) -> None:
        """Something that is opened there, and is no packet."""
        self._placed(content, prefix)
        lib.oc_coalesce_undo(self._c)

    def bring(self, packet: bytes, prefix: int = 8) -> None:
        """A packet that comes from elsewhere: it was compressed, or shared its record."""
        self.drop(b"\xdd" * 100, prefix)
        self._take(ffi.new("uint8_t[]", packet), len(packet))

    def _placed(self, content: bytes, prefix: int) -> CData:
        at = lib.oc_coalesce_place(self._c, prefix)
        ffi.buffer(at, len(content))[:] = content
        return at

    def _take(self, packet: CData, n: int) -> None:
        if not lib.oc_coalesce_take(self._c, packet, n):
            self.write()
        if lib.oc_coalesce_is_full(self._c):
            self.write()

    def write(self) -> None:
        """One write to the TUN; a first one that the TUN had no room for changes nothing."""
        n = ffi.new("size_t *")
        lib.oc_coalesce_finish(self._c, n)
        data = bytes(ffi.buffer(lib.oc_coalesce_finish(self._c, n), n[0]))
        self.written.append((Vnet.of(data), data[Vnet.SIZE :]))
        self.counted.append((self._c.packets, self._c.bytes))
        lib.oc_coalesce_next(self._c)

    def end(self) -> list[tuple[Vnet, bytes]]:
        """The end of the burst."""
        while self._c.size:
            self.write()
        return self.written


def gather(packets: Iterable[bytes], tcp: bool = True, udp: bool = True) -> Coalescer:
    c = Coalescer(tcp, udp)
    for packet in packets:
        c.place(packet)
    c.end()
    return c


def apart(written: Iterable[tuple[Vnet, bytes]]) -> Iterator[bytes]:
    """The packets again."""
    for vnet, packet in written:
        made = segments(vnet, packet)
        assert made is not None
        yield from made

"""A client of legacy DTLS as openconnect is one: libgnutls itself, resuming a session that never was."""

from __future__ import annotations

import ctypes
import ctypes.util
import socket

_CLIENT, _DATAGRAM, _NONBLOCK = 2, 4, 8
_CERTIFICATE, _COMP_NULL = 1, 1


class _Datum(ctypes.Structure):
    _fields_ = (("data", ctypes.c_char_p), ("size", ctypes.c_uint))


def _library() -> ctypes.CDLL:
    return ctypes.CDLL(ctypes.util.find_library("gnutls") or "libgnutls.so.30")


class LegacyClient:
    """On a connected socket, which does not block from now on. Words are GnuTLS's."""

    def __init__(
        self, sock: socket.socket, priorities: str, words: tuple[str, str, str, str], secret: bytes, session_id: bytes
    ) -> None:
        self._gnutls = _library()
        sock.setblocking(False)
        self._sock = sock
        self._session, self._credentials = ctypes.c_void_p(), ctypes.c_void_p()
        self._check(self._gnutls.gnutls_init(ctypes.byref(self._session), _CLIENT | _DATAGRAM | _NONBLOCK))
        self._check(self._gnutls.gnutls_certificate_allocate_credentials(ctypes.byref(self._credentials)))
        self._check(self._gnutls.gnutls_credentials_set(self._session, _CERTIFICATE, self._credentials))
        self._check(self._gnutls.gnutls_priority_set_direct(self._session, priorities.encode(), None))
        version, kx, cipher, mac = (word.encode() for word in words)
        g = self._gnutls
        self._check(
            g.gnutls_session_set_premaster(
                self._session,
                _CLIENT,
                g.gnutls_protocol_get_id(version),
                g.gnutls_kx_get_id(kx),
                g.gnutls_cipher_get_id(cipher),
                g.gnutls_mac_get_id(mac),
                _COMP_NULL,
                ctypes.byref(_Datum(secret, len(secret))),
                ctypes.byref(_Datum(session_id, len(session_id))),
            )
        )
        g.gnutls_transport_set_int2(self._session, sock.fileno(), sock.fileno())
        g.gnutls_dtls_set_mtu(self._session, 1400)

    def handshake(self) -> bool:
        """Go on with what has arrived. Whether it is done."""
        return int(self._gnutls.gnutls_handshake(self._session)) == 0

    @property
    def resumed(self) -> bool:
        return bool(self._gnutls.gnutls_session_is_resumed(self._session))

    def send(self, data: bytes) -> None:
        assert self._gnutls.gnutls_record_send(self._session, data, ctypes.c_size_t(len(data))) == len(data)

    def recv(self) -> bytes:
        out = ctypes.create_string_buffer(2000)
        n = int(self._gnutls.gnutls_record_recv(self._session, out, ctypes.c_size_t(2000)))
        assert n >= 0, n
        return out.raw[:n]

    def close(self) -> None:
        self._gnutls.gnutls_deinit(self._session)
        self._gnutls.gnutls_certificate_free_credentials(self._credentials)

    def _check(self, code: int) -> None:
        assert code >= 0, code

"""Two connected ends, descriptors that can be counted, and messages of every kind, for the tests of ipc/."""

from __future__ import annotations

import contextlib
import enum
import gc
import os
import socket
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
import pytest
from hypothesis import strategies as st

from ocserv_core.ipc.messages import Message

EVERY_MESSAGE = Message.__subclasses__()


@contextlib.contextmanager
def socket_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a SOCK_SEQPACKET pair that do not block."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with one, other:
        one.setblocking(False)
        other.setblocking(False)
        yield one, other


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The same as a fixture."""
    with socket_pair() as pair:
        yield pair


def open_descriptors() -> int:
    """How many this process holds."""
    return len(os.listdir("/proc/self/fd"))


def settled_descriptors() -> int:
    """The same, without those that earlier tests left in cycles: they would be closed at any moment, and not be missed
    by who counts before and after."""
    gc.collect()
    return open_descriptors()


def some_descriptor() -> int:
    """One that nobody misses."""
    return os.memfd_create("test", os.MFD_CLOEXEC)


def is_open(fd: int) -> bool:
    """Whether it still names something."""
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Every value that a field of this type may carry over a channel."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return structs_of(kind)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return st.sampled_from(list(kind))
    if hasattr(kind, "__supertype__"):
        return values_of(kind.__supertype__)
    return _PLAIN[kind] if kind in _PLAIN else _composed(kind)


def structs_of(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Every value of a struct."""
    return st.builds(kind, **{field.name: values_of(field.type) for field in msgspec.structs.fields(kind)})


_TEXT = st.text(max_size=8)

_PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: _TEXT,
    bytes: st.binary(max_size=8),
    bool: st.booleans(),
    int: st.integers(-(2**63), 2**64 - 1),
    float: st.floats(allow_nan=False),
    type(None): st.none(),
}


def _composed(kind: Any) -> st.SearchStrategy[Any]:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return values_of(arguments[0])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (Union, types.UnionType):
        return st.one_of([values_of(argument) for argument in arguments])
    if origin is list:
        return st.lists(values_of(arguments[0]), max_size=2)
    if origin is dict:
        return st.dictionaries(*(values_of(argument) for argument in arguments), max_size=2)
    assert origin is tuple, kind
    if arguments[-1] is Ellipsis:
        return st.lists(values_of(arguments[0]), max_size=2).map(tuple)
    return st.tuples(*(values_of(argument) for argument in arguments))

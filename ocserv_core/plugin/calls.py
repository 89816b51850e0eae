"""The arguments and the result of a hook as bytes: for a back end whose hooks run in a process of its own.

What may cross is what the spec in hookspecs.py says, by its annotations; `ask` does not, the caller stands in for it.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from .hookspecs import SPECS

_NOT_SENT = ("self", "ask", "return")


@dataclass(frozen=True, slots=True)
class _Shape:
    arguments: type[msgspec.Struct]
    result: Any


def encode_arguments(hook: str, arguments: Mapping[str, object]) -> bytes:
    """`arguments` without `ask`. LookupError where there is no such hook, TypeError for other arguments."""
    return msgspec.msgpack.encode(_shape_of(hook).arguments(**arguments))


def decode_arguments(hook: str, data: bytes) -> dict[str, object]:
    """By name. LookupError, and msgspec.DecodeError for what the spec does not say."""
    shape = _shape_of(hook).arguments
    return msgspec.structs.asdict(msgspec.msgpack.decode(data, type=shape))


def encode_result(hook: str, value: object) -> bytes:
    """TypeError where it is not what the spec promises, and what an encoder raises for half a character."""
    promised = _shape_of(hook).result
    if isinstance(promised, type) and not isinstance(value, promised):
        raise TypeError(f"it returned a {type(value).__name__}, which is no {promised.__name__}")
    data = msgspec.msgpack.encode(value)
    decode_result(hook, data)
    return data


def decode_result(hook: str, data: bytes) -> object:
    """What the spec promises; msgspec.DecodeError for anything else."""
    return msgspec.msgpack.decode(data, type=_shape_of(hook).result)


@cache
def _shape_of(hook: str) -> _Shape:
    spec = _spec_of(hook)
    hints = get_type_hints(spec)
    names = [name for name in inspect.signature(spec).parameters if name not in _NOT_SENT]
    arguments = msgspec.defstruct(hook, [(name, hints[name]) for name in names], forbid_unknown_fields=True)
    return _Shape(arguments, _without_awaitable(hints["return"]))


def _spec_of(hook: str) -> Any:
    for specs in SPECS:
        if hook in vars(specs):
            return getattr(specs, hook)
    raise LookupError(f"there is no hook {hook}")


def _without_awaitable(hint: Any) -> Any:
    """`Awaitable[Identity] | Identity` is an Identity when it is there."""
    if not isinstance(hint, UnionType):
        return hint
    (kind,) = (kind for kind in get_args(hint) if get_origin(kind) is not Awaitable)
    return kind

"""The firewall's rules in the kernel, by libnftables and its JSON: one table, a chain for each restricted client.

Called by main, from one thread alone: a transaction may take tens of milliseconds, and a context is not made for two.
The table's base chain looks up the device that a packet came from in a map, so that other clients' packets cost one
look. It is keyed by the device's index, which the kernel does not give again so soon as a name.
"""

from __future__ import annotations

import ctypes
import ipaddress
import json
from collections.abc import Iterable
from typing import Any

from ..errors import SystemFailure
from ..state.firewall import Rule, Rules, Verdict

LIBRARY = "libnftables.so.1"

PRIORITY = -10
"""Before those who filter at the usual place (0), as the C server's script has it: accepting ends nothing there."""

_JSON = 1 << 4
_MOST = 120
"""Characters of what the library complains of; it repeats the whole input."""

_FORWARD, _CLIENTS = "forward", "clients"

Command = dict[str, Any]


class Nftables:
    """A context of the library, and its netlink socket. Raises SystemFailure where the library is missing."""

    def __init__(self, library: str = LIBRARY) -> None:
        try:
            self._library = ctypes.CDLL(library)
        except OSError as error:
            raise SystemFailure(f"{library} is missing; install libnftables1") from error
        _declare(self._library)
        self._context = self._library.nft_ctx_new(0)
        if not self._context:
            raise SystemFailure("libnftables has no context: out of memory")
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)
        self._library.nft_ctx_output_set_flags(self._context, _JSON)

    def run(self, commands: Iterable[Command]) -> None:
        """One transaction: all of it or nothing. Raises SystemFailure with what the kernel said."""
        text = json.dumps({"nftables": list(commands)}).encode()
        failed = self._library.nft_run_cmd_from_buffer(self._context, text)
        self._library.nft_ctx_get_output_buffer(self._context)
        said = self._library.nft_ctx_get_error_buffer(self._context)
        if failed:
            first = (said or b"no reason is given").decode("utf-8", "replace").splitlines()[0]
            raise SystemFailure(f"the kernel refused the firewall's rules: {first[:_MOST]}")

    def close(self) -> None:
        """The rules stay."""
        self._library.nft_ctx_free(self._context)


def _declare(library: Any) -> None:
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_new.argtypes = [ctypes.c_uint32]
    library.nft_ctx_free.restype = None
    library.nft_ctx_output_set_flags.argtypes = [ctypes.c_void_p, ctypes.c_uint]
    library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    for name in ("nft_ctx_free", "nft_ctx_buffer_output", "nft_ctx_buffer_error"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
        getattr(library, name).restype = ctypes.c_char_p


def remove_table(table: str) -> list[Command]:
    """Remove a table with everything in it, also where there is none."""
    return [{"add": {"table": _table(table)}}, {"delete": {"table": _table(table)}}]


def add_client(table: str, chain: str, index: int, rules: Rules) -> list[Command]:
    """The rules for what comes from the device of this index; the table is made where it is missing."""
    second = f"{chain}-routes"
    commands = _base(table)
    if rules.routes:
        commands += _chain(table, second, rules.routes, "")
    commands += _chain(table, chain, rules.first, second)
    return [*commands, {"add": {"element": _element(table, chain, index)}}]


def remove_client(table: str, chain: str, index: int, rules: Rules) -> list[Command]:
    """The reverse of `add_client`."""
    chains = [chain, *([f"{chain}-routes"] if rules.routes else [])]
    return [
        {"delete": {"element": _element(table, chain, index)}},
        *({"flush": {"chain": _in(table, name=name)}} for name in chains),
        *({"delete": {"chain": _in(table, name=name)}} for name in chains),
    ]


def _base(table: str) -> list[Command]:
    """Rules have no names: the one of the base chain is written anew each time, within the transaction."""
    look_up = {"vmap": {"key": {"meta": {"key": "iif"}}, "data": f"@{_CLIENTS}"}}
    hook = {"type": "filter", "hook": "forward", "prio": PRIORITY, "policy": "accept"}
    return [
        {"add": {"table": _table(table)}},
        {"add": {"map": _in(table, name=_CLIENTS, type="iface_index", map="verdict")}},
        {"add": {"chain": _in(table, name=_FORWARD, **hook)}},
        {"flush": {"chain": _in(table, name=_FORWARD)}},
        {"add": {"rule": _in(table, chain=_FORWARD, expr=[look_up])}},
    ]


def _chain(table: str, name: str, rules: Iterable[Rule], second: str) -> list[Command]:
    commands = [{"add": {"chain": _in(table, name=name)}}]
    for rule in rules:
        commands += [{"add": {"rule": _in(table, chain=name, expr=expr)}} for expr in _expressions(rule, second)]
    return commands


def _expressions(rule: Rule, second: str) -> Iterable[list[Command]]:
    """An answer is two rules of the kernel: its connection was begun by another, or it is an error (ICMP)."""
    verdict = {"goto": {"target": second}} if rule.verdict is Verdict.ROUTES else {rule.verdict.value: None}
    if rule.answers:
        yield [_state("related"), verdict]
        yield [_state("established"), _match({"ct": {"key": "direction"}}, "reply"), verdict]
        return
    yield [*_matches(rule), verdict]


def _matches(rule: Rule) -> Iterable[Command]:
    if rule.family and not rule.network:
        yield _match({"meta": {"key": "nfproto"}}, f"ipv{rule.family}")
    if rule.network:
        yield _match(_field("ip6" if rule.family == 6 else "ip", "daddr"), _prefix(rule.network))
    if rule.port:
        yield _match(_field(rule.protocol, "dport"), rule.port)
    elif rule.protocol:
        # In IPv6 named with a dash, and a number is known everywhere.
        yield _match({"meta": {"key": "l4proto"}}, _NUMBERS[rule.protocol])


_NUMBERS = {"icmp": 1, "tcp": 6, "udp": 17, "esp": 50, "icmpv6": 58, "sctp": 132}


def _state(word: str) -> Command:
    return _match({"ct": {"key": "state"}}, [word], "in")


def _field(protocol: str, field: str) -> Command:
    return {"payload": {"protocol": protocol, "field": field}}


def _match(left: Command, right: object, operator: str = "==") -> Command:
    return {"match": {"op": operator, "left": left, "right": right}}


def _prefix(network: str) -> object:
    parsed = ipaddress.ip_network(network)
    if parsed.prefixlen == parsed.max_prefixlen:
        return str(parsed.network_address)
    return {"prefix": {"addr": str(parsed.network_address), "len": parsed.prefixlen}}


def _table(table: str) -> Command:
    return {"family": "inet", "name": table}


def _in(table: str, **more: object) -> Command:
    return {"family": "inet", "table": table, **more}


def _element(table: str, chain: str, index: int) -> Command:
    return _in(table, name=_CLIENTS, elem=[[index, {"goto": {"target": chain}}]])

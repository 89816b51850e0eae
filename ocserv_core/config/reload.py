"""What may change while the server runs. Called by main when it reloads, after the new text was read."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from ..errors import ConfigError, ConfigErrors
from .checks import check
from .declare import Declared
from .server import SERVER
from .tree import ServerConfig, Vhost
from .values import BackendSpec
from .vhost import VHOST

S = TypeVar("S", bound=msgspec.Struct)


def restart_only_changes(old: ServerConfig, new: ServerConfig) -> list[str]:
    """The options that differ and need a restart, as an administrator names them: `tcp-port`,
    `server-cert (vhost:NAME)`. A vhost that is added or removed is no such change."""
    names = [option.name for option in _kept(SERVER) if _differs(option, old.server, new.server)]
    before = {vhost.name: vhost for vhost in old.vhosts}
    for vhost in new.vhosts:
        where = f" (vhost:{vhost.name})" if vhost is not new.default else ""
        if vhost.name in before:
            was = before[vhost.name].options
            names += [o.name + where for o in _kept(VHOST) if _differs(o, was, vhost.options)]
    return names


def reloaded(old: ServerConfig, new: ServerConfig) -> ServerConfig:
    """The configuration that is in force after a reload: `new`, but with the old values where only a restart can
    change them. Raises ConfigErrors where the two do not go together."""
    before = {vhost.name: vhost for vhost in old.vhosts}
    vhosts = (_reloaded_vhost(before.get(vhost.name), vhost) for vhost in new.vhosts)
    kept = _kept(SERVER)
    origins = _old_origins(kept, old.origins, new.origins)
    mixed = ServerConfig(new.file, _with_old(kept, old.server, new.server), tuple(vhosts), origins)
    faults = [ConfigError(f"{f.message} (until the restart)", new.file) for f in check(mixed)]
    if faults:
        raise ConfigErrors(faults)
    return mixed


def _reloaded_vhost(old: Vhost | None, new: Vhost) -> Vhost:
    if old is None:
        return new
    kept = _kept(VHOST)
    options = _with_old(kept, old.options, new.options)
    return Vhost(new.name, options, _old_origins(kept, old.origins, new.origins))


def _kept(table: dict[str, Declared]) -> list[Declared]:
    return [option for option in table.values() if not option.option.reloadable]


def _differs(option: Declared, old: msgspec.Struct, new: msgspec.Struct) -> bool:
    return bool(_without_places(getattr(old, option.field)) != _without_places(getattr(new, option.field)))


def _without_places(value: Any) -> Any:
    """A back end that moved to another line has not changed."""
    if isinstance(value, tuple):
        return tuple(_without_places(item) for item in value)
    return (value.name, value.options) if isinstance(value, BackendSpec) else value


def _with_old(kept: list[Declared], old: S, new: S) -> S:
    return msgspec.structs.replace(new, **{option.field: getattr(old, option.field) for option in kept})


def _old_origins(kept: list[Declared], old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    names = {option.name for option in kept}
    return {name: at for name, at in new.items() if name not in names} | {
        name: at for name, at in old.items() if name in names
    }

"""What a reading results in: ServerConfig, with a Vhost for each section and the place of every value."""

from __future__ import annotations

import msgspec

from .server import ServerOptions
from .vhost import VhostOptions


class Origin(msgspec.Struct, frozen=True, array_like=True):
    """The place of a value. line: 1-based; 0 where none is to blame."""

    file: str
    line: int


class Vhost(msgspec.Struct, frozen=True):
    """A virtual host. `origins`: by the option's written name, a place for each of its values; an inherited value
    has the place where it was written, a default has none. `exposed`: the networks behind clients that every client
    gets routes to, where main has read them (expose-iroutes)."""

    name: str
    options: VhostOptions
    origins: dict[str, tuple[Origin, ...]] = {}
    exposed: tuple[str, ...] = ()

    def origin(self, option: str, index: int = 0) -> Origin:
        """Where the value of `option` (the `index`-th, if it has many) was written; Origin("", 0) for a default."""
        places = self.origins.get(option, ())
        return places[index] if index < len(places) else Origin("", 0)


class ServerConfig(msgspec.Struct, frozen=True):
    """A whole configuration. vhosts: the default one first, then in the order of the file."""

    file: str
    server: ServerOptions
    vhosts: tuple[Vhost, ...]
    origins: dict[str, Origin] = {}

    def vhost(self, name: str) -> Vhost:
        """The vhost of exactly this name (DEFAULT_VHOST for the first). Raises KeyError for any other."""
        for vhost in self.vhosts:
            if vhost.name == name:
                return vhost
        raise KeyError(name)

    @property
    def default(self) -> Vhost:
        """The vhost of what stands before the first section."""
        return self.vhosts[0]

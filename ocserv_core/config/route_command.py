"""The commands `route-add-cmd` and `route-del-cmd`, and what is filled into them. Used by server.py and by main."""

from __future__ import annotations

import ipaddress
import re

from .declare import Syntax

_PLACE = re.compile(r"%(?:\{(RI|R|D)\}|(R|D))?")


def parse_route_command(text: str) -> str:
    """A command for the shell; the only places in it are %{R} or %R, %{RI}, and %{D} or %D."""
    for match in _PLACE.finditer(text):
        if match[0] == "%":
            found = text[match.start() : match.start() + 2]
            raise ValueError(f"'{found}' stands for nothing; %{{R}} and %{{RI}} are the route, %{{D}} is the device")
    return text


def fill_route_command(command: str, route: str, device: str) -> str:
    """The command for one route. %{R} has an IPv4 route with its mask (192.0.2.0/255.255.255.0), %{RI} with its
    length; an IPv6 route has a length always."""
    network = ipaddress.ip_network(route, strict=False)
    words = {"R": network.with_netmask if network.version == 4 else str(network), "RI": str(network), "D": device}
    return _PLACE.sub(lambda match: words[match[1] or match[2]], command)


ROUTE_COMMAND = Syntax("command", parse_route_command)

"""What later hooks need of an Access-Accept, as plain data in `Identity.attributes`, by the attributes' own names: the
session store keeps it, so that accounting and configuration know it after a restart."""

from __future__ import annotations

from .numbers import CLASS, LIMITS
from .replies import Reply

TEXTS = (
    "Framed-IP-Address",
    "Framed-IP-Netmask",
    "Framed-IPv6-Address",
    "Delegated-IPv6-Prefix",
    "MS-Primary-DNS-Server",
    "MS-Secondary-DNS-Server",
    "User-Name",
)
"""The last one counts where the server sends several."""

LISTS = (
    "Framed-Route",
    "Framed-IPv6-Route",
    "Framed-IPv6-Prefix",
    "Route-IPv6-Information",
    "DNS-Server-IPv6-Address",
)

Kept = dict[str, str | int | list[str]]


def keep(reply: Reply, sent_name: str) -> Kept:
    """`sent_name` is the User-Name of the request, by which accounting shall name the user where the server does not
    want another. Class is a list of hexadecimal texts."""
    there = reply.names()
    kept: Kept = {"User-Name": sent_name}
    kept.update({name: texts[-1] for name in TEXTS if name in there and (texts := reply.texts(name))})
    kept.update({name: texts for name in LISTS if name in there and (texts := reply.texts(name))})
    kept.update({name: numbers[-1] for name in LIMITS if name in there and (numbers := reply.numbers(name))})
    classes = [octets.hex() for octets in reply.octets(CLASS)]
    return {**kept, "Class": classes} if classes else kept


def classes_of(attributes: object) -> list[bytes]:
    """The Class attributes of a session, as the server sent them."""
    found = attributes.get("Class") if isinstance(attributes, dict) else None
    return [bytes.fromhex(text) for text in found] if isinstance(found, list) else []

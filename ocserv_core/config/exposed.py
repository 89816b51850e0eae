"""`expose-iroutes`: what the file of a user says of the networks behind him. Used by main, which reads the files."""

from __future__ import annotations

from ..errors import ConfigError, ConfigErrors
from .addresses import parse_subnet
from .parser import Token, parse_tokens


def iroutes_in(text: str, file: str) -> tuple[str, ...]:
    """Its iroutes, as canonical networks. Raises ConfigErrors for those that are none; whatever else is wrong in the
    file concerns its user alone."""
    found: list[str] = []
    errors: list[ConfigError] = []
    for token in parse_tokens(text, file).items:
        if isinstance(token, Token) and token.section is None and token.name == "iroute":
            try:
                found.append(parse_subnet(token.value))
            except ValueError as error:
                errors.append(ConfigError(f"iroute: {error}", file, token.line))
    if errors:
        raise ConfigErrors(errors)
    return tuple(found)

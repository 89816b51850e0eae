"""Reads a configuration: `read_config` for ocserv.conf, `read_user_config` for the file of a user or group.

Called by main (start, reload, --test-config) and by what reads users' files. All that is wrong is found in one
reading. Nothing is opened here: what depends on a file's content is checked by who reads it, with Vhost.origins.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from ..model import DEFAULT_VHOST
from .checks import check
from .declare import Declared, with_aliases
from .draft import Draft, Notes
from .old_words import OLD_WORDS
from .parser import Section, Token, Tokens, parse_tokens, sections_of
from .server import SERVER, ServerOptions
from .tree import Origin, ServerConfig, Vhost
from .user import USER, UserOptions
from .values import Group
from .vhost import DEFAULT_PRIORITIES, VHOST, WITHOUT_TLS13, VhostOptions

MAX_GROUPS = 96
MAX_GROUP_NAME = 63
"""Bytes; a longer name can never be selected."""

_SERVER = with_aliases(SERVER)
_VHOST = with_aliases(VHOST)
_USER = with_aliases(USER)


@dataclass(frozen=True, slots=True)
class Reading:
    """A configuration, and what the administrator should know of it: `file:line: sentence` each."""

    config: ServerConfig
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UserReading:
    """What a user's or a group's file says, with its warnings. lines: those that mean something, by the names of their
    options, as `read_user_options` takes them."""

    options: UserOptions
    warnings: tuple[str, ...]
    lines: Mapping[str, Sequence[str]]


def read_config(text: str, file: str, *, strict: bool = False) -> Reading:
    """Read a whole ocserv.conf. Raises ConfigErrors with every error that was found.

    file: its name, for messages. strict: an unknown option or section is an error, not a warning.
    """
    notes = Notes(file, strict)
    config = _read(text, notes)
    notes.raise_errors()
    return Reading(config, tuple(notes.warnings))


def notes_on(text: str, file: str) -> Notes:
    """All that such a reading has to say, its warnings beside its errors."""
    notes = Notes(file)
    _read(text, notes)
    return notes


def _read(text: str, notes: Notes) -> ServerConfig:
    reader = _Reader(notes)
    reader.read(_tokens(text, notes))
    config = reader.finish()
    for fault in check(config):
        # What a wrong line has left unset is not missing.
        if not notes.faulty & set(fault.about):
            notes.error(fault.line, fault.message)
    return config


def read_user_config(text: str, file: str, onto: UserOptions | None = None) -> UserReading:
    """Read the file of a user or group. Raises ConfigErrors, upon which the session is refused.

    onto: what was read before (the group's file before the user's): values replace its values, lists are appended.
    """
    notes = Notes(file)
    before = onto or UserOptions()
    draft = Draft({field: value for field in before.__struct_fields__ if (value := getattr(before, field)) is not None})
    lines: dict[str, list[str]] = {}
    for section, members in sections_of(_tokens(text, notes)):
        for token in members:
            if section is not None:
                notes.warn(token.line, "a section has no place in the file of a user; the line is ignored")
            elif token.name in _USER:
                option = _USER[token.name]
                draft.set(option, token, notes)
                lines.setdefault(option.name, []).append(token.raw if option.option.raw else token.value)
            else:
                notes.unknown(token.line, _unknown(token.name, _USER))
    notes.raise_errors()
    return UserReading(UserOptions(**draft.values), tuple(notes.warnings), lines)


def read_user_options(lines: Mapping[str, str | Sequence[str]], source: str) -> UserReading:
    """The same of what a back end says instead of a file; `source` stands for its name in messages. Raises
    ConfigErrors, also for a name that means nothing."""
    notes = Notes(source, strict=True)
    draft = Draft()
    for name, values in lines.items():
        for value in _listed(values):
            if name in _USER:
                draft.set(_USER[name], Token(name, value, value, line=0), notes)
            else:
                notes.unknown(0, _unknown(name, _USER))
    notes.raise_errors()
    return UserReading(UserOptions(**draft.values), tuple(notes.warnings), {n: _listed(v) for n, v in lines.items()})


def _listed(values: str | Sequence[str]) -> Sequence[str]:
    return (values,) if isinstance(values, str) else values


def _tokens(text: str, notes: Notes) -> Tokens:
    tokens = parse_tokens(text, notes.file)
    notes.errors.extend(tokens.errors)
    notes.warnings.extend(tokens.warnings)
    return tokens


class _Reader:
    """The drafts of a file's sections while its lines are given to them."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._server = Draft()
        self._default = Draft()
        self._vhosts: dict[str, Draft] = {}

    def read(self, tokens: Tokens) -> None:
        """Give every line to the draft of its section."""
        for section, members in sections_of(tokens):
            draft = self._default if section is None else self._open(section)
            if draft is None:
                continue
            for token in members:
                self._on_token(token, draft)

    def _open(self, section: Section) -> Draft | None:
        """The draft of a section; at its first line the default vhost's options, as read so far, are inherited."""
        kind, colon, written = section.name.partition(":")
        if kind != "vhost" or not colon:
            self._notes.unknown(section.line, f"the section [{section.name}] is unknown; only [vhost:NAME] is known")
            return None
        name = self._vhost_name(written, section.line)
        if name and name not in self._vhosts:
            draft = self._vhosts[name] = Draft()
            for option in VHOST.values():
                if option.option.reloadable and option.option.inherited:
                    draft.inherit(option, self._default)
        return self._vhosts.get(name)

    def _vhost_name(self, written: str, line: int) -> str:
        name = written.strip()
        if not name or name == DEFAULT_VHOST:
            why = "is what stands before the first section" if name else "is missing"
            self._notes.error(line, f"the name '{name}' of the virtual host {why}; write [vhost:NAME]")
            return ""
        try:
            mapped = name if name.isascii() else name.encode("idna").decode()
        except UnicodeError as error:
            self._notes.error(line, f"'{name}' is not a host name: {error}")
            return ""
        if mapped != name:
            self._notes.warn(line, f"the virtual host '{name}' is called '{mapped}'")
        return mapped

    def _on_token(self, token: Token, draft: Draft) -> None:
        known = self._renamed(token)
        if known is None:
            return
        if known.name in _VHOST:
            draft.set(_VHOST[known.name], known, self._notes)
        elif known.name in _SERVER:
            self._on_server_option(_SERVER[known.name], known, draft)
        elif known.name in _USER:
            self._notes.unknown(token.line, f"'{token.name}' stands in the file of a user or group only")
        else:
            self._notes.unknown(token.line, _unknown(token.name, _VHOST.keys() | _SERVER.keys()))

    def _on_server_option(self, option: Declared, token: Token, draft: Draft) -> None:
        if draft is self._default:
            self._server.set(option, token, self._notes)
        elif option.option.tolerated:
            self._notes.warn(token.line, f"'{token.name}' has no effect inside a virtual host section")
        else:
            self._notes.error(
                token.line,
                f"'{token.name}' cannot be set inside a virtual host section; write it before the first section",
            )

    def _renamed(self, token: Token) -> Token | None:
        """The token in today's words; None where nothing is left of it."""
        old = OLD_WORDS.get(token.name)
        if old is None:
            return token
        tell = self._notes.error if old.fatal else self._notes.warn
        tell(token.line, f"'{token.name}' {old.says}")
        try:
            line = old.becomes(token.value)
        except ValueError as error:
            self._notes.error(token.line, f"{token.name}: {error}")
            return None
        return replace(token, name=line[0], value=line[1], raw=line[1]) if line else None

    def finish(self) -> ServerConfig:
        """The configuration, in which the value of a wrong line is as if it were not set."""
        for name, draft in self._vhosts.items():
            self._inherit_rest(name, draft)
        for draft in (self._default, *self._vhosts.values()):
            self._bound_groups(draft)
        vhosts = {DEFAULT_VHOST: self._default, **self._vhosts}
        origins = {name: places[0] for name, places in self._server.origins.items()}
        server = _server_options(self._server)
        built = tuple(Vhost(name, _vhost_options(draft), draft.origins) for name, draft in vhosts.items())
        return ServerConfig(self._notes.file, server, built, origins)

    def _inherit_rest(self, name: str, draft: Draft) -> None:
        """Restart-only options are inherited at the end, and each only where the section says nothing of it."""
        if "auth" not in draft.own:
            self._discard_ways_in(name, draft)
        for option in VHOST.values():
            inherits = not option.option.reloadable and option.name not in draft.own
            # Its own `auth` is a whole new set of ways in: the default vhost's alternatives do not join it.
            if inherits and not (option.name == "enable-auth" and "auth" in draft.own):
                draft.inherit(option, self._default)

    def _discard_ways_in(self, name: str, draft: Draft) -> None:
        for word in sorted({"enable-auth", "acct"} & draft.own):
            line = draft.origins[word][0].line
            self._notes.warn(line, f"'{word}' is ignored, since the section vhost:{name} has no auth of its own")
            draft.discard(VHOST[word])

    def _bound_groups(self, draft: Draft) -> None:
        """Leave out what the C server could not select either."""
        groups = draft.values.get("select_groups", ())
        places = draft.origins.get("select-group", ())
        kept: list[tuple[Group, Origin]] = []
        for group, origin in zip(groups, places, strict=True):
            if len(group.name.encode()) > MAX_GROUP_NAME:
                self._notes.warn(origin.line, f"select-group: a name has at most {MAX_GROUP_NAME} bytes; ignored")
            elif len(kept) == MAX_GROUPS:
                self._notes.warn(origin.line, f"select-group: at most {MAX_GROUPS} groups are possible; ignored")
            else:
                kept.append((group, origin))
        if groups:
            draft.values["select_groups"] = tuple(group for group, _ in kept)
            draft.origins["select-group"] = tuple(origin for _, origin in kept)


def _server_options(draft: Draft) -> ServerOptions:
    options = ServerOptions(**draft.values)
    if options.state_dir or not options.socket_file:
        return options
    return msgspec.structs.replace(options, state_dir=f"{options.socket_file}.d")


def _vhost_options(draft: Draft) -> VhostOptions:
    """The options with what they force upon each other."""
    options = VhostOptions(**draft.values)
    if options.cisco_client_compat or options.cisco_svc_client_compat:
        options = msgspec.structs.replace(options, dtls_legacy=True)
    if options.cisco_client_compat:
        options = msgspec.structs.replace(options, select_group_by_url=True)
    return msgspec.structs.replace(options, tls_priorities=_priorities(options, "tls-priorities" in draft.own))


def _priorities(options: VhostOptions, own: bool) -> str:
    """The section's own words stand as they are; to inherited ones the wish of cisco-client-compat is added."""
    text = options.tls_priorities or DEFAULT_PRIORITIES
    if own or not options.cisco_client_compat or WITHOUT_TLS13 in text:
        return text
    return text + WITHOUT_TLS13


def _unknown(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), 1, cutoff=0.75)
    return f"the option '{name}' is unknown" + (f", did you mean '{near[0]}'?" if near else "")

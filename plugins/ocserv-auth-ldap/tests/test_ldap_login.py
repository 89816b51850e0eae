"""Logins by `ldap[…]` against a real slapd."""

from __future__ import annotations

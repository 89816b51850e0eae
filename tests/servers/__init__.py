"""Real servers that back ends are tested against; each is started in a folder of the test's own and ended with it.

freeradius.py, slapd.py, kdc.py …: one server a file, for the tests of `interop/` and of `plugins/*/tests/`.
"""

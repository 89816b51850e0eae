"""The first plugins: they enter by the plugin door like any other and have no private one.

plain.py        the authentication back end `plain[passwd=FILE]`
passwdfile.py   the file that ocpasswd writes, as plain reads it
"""

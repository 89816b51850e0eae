"""The first plugins: they enter by the plugin door like any other and have no private one.

plain.py        the authentication back end `plain[passwd=FILE,otp=FILE]`
passwdfile.py   the file that ocpasswd writes, as plain reads it
otp.py          one-time passwords (HOTP, TOTP), and the lines of an OATH users file
otpfile.py      that file: a code is checked, and written down as used
config_files.py the files of groups and users: what holds for their sessions
"""

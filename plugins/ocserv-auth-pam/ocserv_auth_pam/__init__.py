"""Logins by PAM: `auth = "pam[service=NAME,gid-min=N]"`, and the account check: `acct = "pam[service=NAME]"`.

    auth.py          the back end of logins: authentication, account check, an expired password changed
    acct.py          the back end of accounting: the account check when a session begins
    options.py       what stands in the brackets
    transaction.py   one transaction with libpam, from pam_start to pam_end
    dialogue.py      PAM's prompts and messages, as questions to the user
    bindings.py      libpam's functions and structures
    codes.py         what PAM's codes mean for a login
    preload.py       what all children share
    groups.py        the groups of the operating system

Modules of PAM may hang, crash, fork, and change their process: all of it runs in a child (`ocserv_process`).
"""

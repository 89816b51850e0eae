"""The host of a back end that may hang or crash: a process without keys, and a child of it for each call.

secmod starts one host for each instance that asks for it (`ocserv_process = "child"`). It loads that back end once,
is single-threaded, and forks; a child is a login (or another call) from its begin to its end, and whoever kills it
kills nothing else. A host for each instance, not one for all: what the code of one back end does to its process
while it is loaded is then its own, and a reload replaces the hosts of the old configuration without a word on others.

    __main__.py  the process: loads the back end, freezes its memory
    hooks.py     its hooks
    rehearsal.py a call gone through before the fork, so that children share what it makes
    line.py      its channel to secmod, and that of a child
    host.py      its loop: ChildStart becomes a fork, the end of a child ChildEnded
    child.py     a child, from the fork to its end
"""

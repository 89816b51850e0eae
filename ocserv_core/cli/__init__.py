"""The doors: what an administrator starts. They read the command line, call an actor or ask it, and print.

ocserv.py            the server: options, then main's `run`
quickstart.py        `ocserv --quickstart`: a folder with all that a first start needs
quickstart_files.py  the files that it writes there
plugin_new.py        `ocserv plugin new`: a distribution of one's own to go on from
plugin_files.py      the files that it writes there
config_check.py      `ocserv config check`: a file's faults, and what in it the C server understands otherwise
occtl.py             the control command: options, one command or a prompt
occtl_commands.py    its table of commands, and how words are matched with it
occtl_console.py     where its commands ask and print
occtl_shows.py       what each shows …
occtl_acts.py        … and what each changes
occtl_events.py      the words that follow `show events`
occtl_views.py       what each reply shows, field by field
occtl_format.py      fields as text and as JSON; times, sizes, intervals
ocpasswd.py          the password file's editor
"""

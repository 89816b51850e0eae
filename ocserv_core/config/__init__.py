"""The configuration: text in, frozen structs out. Pure: no file is opened here.

The map, from the words to what is made of them:

    declare.py    what an option is: Option, Syntax, and the tables made of a struct's fields
    values.py     the syntaxes of numbers, durations, words, files, back ends; the structs they make
    addresses.py  the syntaxes of addresses, networks, routes, port rules
    route_command.py  the syntax of route-add-cmd, and what is filled in
    server.py     ServerOptions: one value for the whole server       ┐ the file an option stands in
    vhost.py      VhostOptions: a value for each virtual host         │ *is* its scope, and its name,
    user.py       UserOptions: also per group and per user            ┘ type, default and manual text
    old_words.py  deprecated and removed words, and what becomes of them
    parser.py     text → tokens, line by line, as the C server's reader sees it
    draft.py      tokens → the values of one section, with the place each came from
    tree.py       ServerConfig, Vhost, Origin: what a reading results in
    checks.py     what is wrong although every line is right
    build.py      read_config, read_user_config: all of the above in their order
    reload.py     what may change while the server runs
    exposed.py    the networks behind clients, of the files of users
    files.py      the files that main must read for the workers
    session.py    SessionConfig: what is in force for one session
    worker.py     WorkerConfig: what the nursery and the workers may know
    launch.py     Launch: what the command line says
    differences.py        what lines mean to the C server and not here (`ocserv config check`)
    differences_table.py  the same of single options, as a table
    manual.py     the declarations as a reference text (docs/options.md)
"""

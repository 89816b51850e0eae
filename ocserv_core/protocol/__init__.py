"""What is said between client and server: bytes in, values and bytes out. No socket, no clock, no randomness.

    http1.py        requests and responses of HTTP/1.1, strictly        RequestReader, build_response
    authxml.py      the bodies that clients post                        parse_auth_body
    camouflage.py   whether a stranger sees a login at all              Gate
    forms.py        the XML documents that we answer                    build_form, build_success …
    cookie.py       webvpn, webvpncontext, webvpnc                      parse_cookies, build_…
    clients.py      what a client is, by its own words                  classify, parse_client
    groups.py       the group list and what a client chose of it        GroupList
    negotiate.py    what a client says of its security mechanism        parse_negotiate
    kkdcp.py        Kerberos messages in HTTPS                          parse_kdc_message
    proxyproto.py   a balancer's word on whose connection it is   HeaderReader
    pages.py        the fixed URLs that clients probe, and refusals     find_page, build_refusal
    login_words.py  settings, facts and commands of a login             Send, AskInit, OpenTunnel …
    login_table.py  the states of a login and what may happen in each   TRANSITIONS
    login_input.py  what a request means to a login                     understand
    answers.py      what one vhost answers                              Answers
    login.py        the login: obeys the table                          Login
    connect.py      the headers of CONNECT                              parse_connect
    mtu.py          how large an inner packet may be                    link_mtu, cstp_data_mtu, dtls_data_mtu
    mtu_discovery.py  how large one really comes through by UDP         MtuDiscovery
    dtls.py         whether DTLS is offered, and of which kind          choose_dtls
    compression.py  which compression a channel gets                    choose_compression
    limits.py       rates, priority and buffers of a session            limits_of
    offer.py        the answer to CONNECT, one line a header            build_offer
    cstp.py         frames of the tunnel and BYE                        build_frame, parse_record, read_bye
    udp_peek.py     whose a datagram may be                             peek
    liveness.py     DPD, idle, session time, rekey: deadlines           Liveness
    dtls_liveness.py  DPD over UDP                                      DtlsLiveness

Only the worker imports this room (and main udp_peek.py). Whatever a client sends raises nothing but
ClientError.
"""

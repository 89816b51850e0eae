"""An OpenConnect/AnyConnect-compatible VPN server.

The map of the rooms; imports point upward only, and the actors never import each other:

    words     errors, model, log                 import nothing of ours
    pure      config/  protocol/  state/         no I/O, no clock, no randomness
    means     ipc/  system/  bridge/  plugin/    one kind of I/O each, no policy
    actors    main/  secmod/  worker/  builtin/  policy; one process each
    doors     cli/                               ocserv, occtl, ocpasswd
"""

__version__ = "0.1.0"

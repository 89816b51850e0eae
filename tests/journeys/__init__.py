"""A client's way from its first request to the answer of CONNECT, through all of protocol/."""

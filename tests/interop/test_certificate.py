"""Client certificates of a test CA, by the real client."""

from __future__ import annotations

from typing import Any

import pytest

from .authority import CN, DAY, OU, SERVER, UID, Authority, Card
from .client import Client
from .lab import GATEWAY4, Lab, Option
from .server import Server

REFUSED = "Certificate Validation Failure"
"""What openconnect shows where the server wants another certificate."""


@pytest.fixture
def ca(lab: Lab) -> Authority:
    return Authority(lab)


def start(lab: Lab, ca: Authority, **options: Option) -> Server:
    """The server with certificates of this CA; by default they are all that is needed."""
    return lab.start_server(**{"auth": "certificate", "cert_user_oid": CN, "ca_cert": ca.file, **options})


def both_needed(lab: Lab) -> dict[str, Option]:
    return {"auth": ("certificate", f'"plain[passwd={lab.path("passwd")}]"')}


def either_will_do(lab: Lab) -> dict[str, Option]:
    return {"auth": f'"plain[passwd={lab.path("passwd")}]"', "enable_auth": "certificate"}


def present(lab: Lab, card: Card | None, *words: str, **more: Any) -> Client:
    """openconnect with a card, and without a name or a password."""
    return lab.openconnect(*(card.words if card else ()), *words, "--non-inter", **more)


def with_password(lab: Lab, card: Card | None, user: str = "alice", *words: str) -> Client:
    """openconnect with a card, a name and this user's password."""
    words = ("--user", user, "--passwd-on-stdin", *words)
    return present(lab, card, *words, stdin=f"{lab.passwords[user]}\n")


def cookie_of(client: Client) -> str:
    assert client.wait() == 0, client.output.tail()
    return client.output.wait_for(r"^COOKIE='([^']+)'")[1]


# ---- who gets in --------------------------------------------------------------------------------------------------


def test_a_certificate_lets_in_without_a_password(lab: Lab, ca: Authority) -> None:
    server = start(lab, ca)
    client = present(lab, ca.issue("zoe")).await_connected()
    assert client.host.ping(GATEWAY4)
    assert server.log.wait_for("the client certificate is of 'zoe'")
    assert server.log.wait_for(r"'zoe' from .* is authenticated by certificate")
    (user,) = server.show("user", "zoe")
    assert user["Username"] == "zoe"


def test_a_certificate_and_a_password(lab: Lab, ca: Authority) -> None:
    server = start(lab, ca, **both_needed(lab))
    client = with_password(lab, ca.issue("alice")).await_connected()
    assert client.host.ping(GATEWAY4)
    assert server.log.wait_for(r"'alice' from .* is authenticated by certificate\+plain")


def test_a_certificate_does_not_make_up_for_a_wrong_password(lab: Lab, ca: Authority) -> None:
    start(lab, ca, **both_needed(lab))
    client = present(lab, ca.issue("alice"), "--user=alice", "--passwd-on-stdin", stdin="wrong\n" * 3)
    assert client.wait() != 0
    assert not client.output.find("CONNECTED")


def test_the_certificate_of_another_user_than_in_the_form(lab: Lab, ca: Authority) -> None:
    server = start(lab, ca, **both_needed(lab))
    client = with_password(lab, ca.issue("bob"), "alice")
    assert client.wait() != 0
    assert server.log.wait_for("certificate: 'alice' from .*: the client certificate is of 'bob'")
    assert server.log.wait_for("login of 'alice' from .* failed: Login failed.")


def test_where_it_is_optional_the_client_with_one_gets_in_by_it(lab: Lab, ca: Authority) -> None:
    server = start(lab, ca, **either_will_do(lab))
    present(lab, ca.issue("zoe")).await_connected()
    assert server.log.wait_for(r"'zoe' from .* is authenticated by certificate \(")


def test_where_it_is_optional_the_client_without_gets_the_form(lab: Lab, ca: Authority) -> None:
    server = start(lab, ca, **either_will_do(lab))
    lab.connect("alice")
    assert server.log.wait_for(r"'alice' from .* is authenticated by plain \(")


def test_where_it_is_optional_one_that_names_nobody_leads_to_the_form(lab: Lab, ca: Authority) -> None:
    server = start(lab, ca, **either_will_do(lab))
    with_password(lab, ca.issue(uids=["zoe"])).await_connected()
    assert server.log.wait_for("the client certificate lets nobody in: it has no user name in 2.5.4.3")
    assert server.log.wait_for(r"'alice' from .* is authenticated by plain \(")


@pytest.mark.parametrize("versions", ["+VERS-TLS1.2", "+VERS-TLS1.3"])
def test_in_either_version_of_tls(lab: Lab, ca: Authority, versions: str) -> None:
    start(lab, ca, tls_priorities=f'"NORMAL:-VERS-ALL:{versions}"')
    present(lab, ca.issue("zoe")).await_connected()


@pytest.mark.parametrize(
    ("oid", "made"), [(UID, {"uids": ["zoe"]}), ("SAN(rfc822name)", {"emails": ["zoe@example.com", "z@example.com"]})]
)
def test_the_name_stands_where_the_configuration_says(lab: Lab, ca: Authority, oid: str, made: dict[str, Any]) -> None:
    server = start(lab, ca, cert_user_oid=oid)
    present(lab, ca.issue("somebody", **made)).await_connected()
    assert server.log.wait_for(r"'zoe(@example.com)?' from .* is authenticated by certificate \(")


def test_an_intermediate_authority_that_the_client_sends_along(lab: Lab, ca: Authority) -> None:
    below = Authority(lab, "below", ca)
    start(lab, ca)
    present(lab, below.issue("zoe", chain=below.pem)).await_connected()


# ---- groups -------------------------------------------------------------------------------------------------------

SELECT = {"cert_group_oid": OU, "select_group": ("staff[The staff]", "guests")}


def test_the_only_group_that_may_be_chosen_is_chosen(lab: Lab, ca: Authority) -> None:
    server = start(lab, ca, **SELECT)
    present(lab, ca.issue("zoe", groups=["staff", "choir"])).await_connected()
    assert server.log.wait_for(r"'zoe' from .* is authenticated by certificate \(session .*, group 'staff'\)")


def test_of_several_groups_the_user_is_asked_for_one(lab: Lab, ca: Authority) -> None:
    server = start(lab, ca, **SELECT)
    client = present(lab, ca.issue("zoe", groups=["staff", "guests"]), "--authgroup=guests")
    client.await_connected()
    assert client.output.wait_for("Please select your group.")
    assert server.log.wait_for(r"'zoe' from .* is authenticated by certificate \(session .*, group 'guests'\)")


def test_a_group_that_is_not_in_the_certificate_is_refused(lab: Lab, ca: Authority) -> None:
    server = start(lab, ca, cert_group_oid=OU, select_group=("staff", "guests", "admins"))
    client = present(lab, ca.issue("zoe", groups=["staff", "guests"]), "--authgroup=admins")
    assert client.wait() != 0
    assert server.log.wait_for(r"group 'admins' is not in the client certificate \(groups: staff, guests\)")


def test_beside_a_password_the_group_must_be_in_both(lab: Lab, ca: Authority) -> None:
    server = start(lab, ca, cert_group_oid=OU, **both_needed(lab))
    card = ca.issue("alice", groups=["guests", "choir"])
    with_password(lab, card, "alice", "--authgroup=guests").await_connected()
    assert server.log.wait_for(r"certificate\+plain \(session .*, group 'guests'\)")
    assert with_password(lab, card, "alice", "--authgroup=choir").wait() != 0
    assert not server.log.find("group 'choir'\\)")


# ---- cookies ------------------------------------------------------------------------------------------------------


def test_a_cookie_needs_the_certificate_again(lab: Lab, ca: Authority) -> None:
    # By which it is optional, so that the handshake is none of the reasons.
    server = start(lab, ca, **either_will_do(lab))
    card = ca.issue("zoe")
    cookie = cookie_of(present(lab, card, "--authenticate"))
    assert lab.resume(cookie).wait() != 0
    assert server.log.wait_for("cookie without the certificate that it was granted to")
    lab.resume(cookie, *ca.issue("bob").words).wait()
    lab.resume(cookie, *card.words).await_connected()
    assert server.log.count("cookie without the certificate") == 2


def test_with_cisco_client_compat_a_cookie_is_enough(lab: Lab, ca: Authority) -> None:
    start(lab, ca, cisco_client_compat=True)
    cookie = cookie_of(present(lab, ca.issue("zoe"), "--authenticate"))
    lab.resume(cookie).await_connected()


def test_with_cisco_client_compat_a_login_still_needs_one(lab: Lab, ca: Authority) -> None:
    start(lab, ca, cisco_client_compat=True)
    client = present(lab, None)
    assert client.wait() != 0
    client.output.wait_for(REFUSED)


# ---- bad ones: TLS ends, with an alert ------------------------------------------------------------------------------


def refused(lab: Lab, server: Server, card: Card | None, why: str) -> None:
    """The handshake fails, and the log says why."""
    client = present(lab, card)
    assert client.wait() != 0
    assert server.log.wait_for(rf"the client is cut off: The client's certificate is not valid: .*{why}")
    client.output.wait_for("(?i)alert|certificate is required|fatal")
    assert not server.log.find("is authenticated")


def test_none_where_one_is_needed(lab: Lab, ca: Authority) -> None:
    refused(lab, start(lab, ca), None, "none was sent")


def test_one_that_is_revoked(lab: Lab, ca: Authority) -> None:
    card = ca.issue("zoe")
    refused(lab, start(lab, ca, crl=ca.revoke(card)), card, "revoked")


def test_one_that_is_not_revoked_gets_in_beside_a_list(lab: Lab, ca: Authority) -> None:
    start(lab, ca, crl=ca.revoke(ca.issue("bob")))
    present(lab, ca.issue("zoe")).await_connected()


def test_one_that_has_expired(lab: Lab, ca: Authority) -> None:
    refused(lab, start(lab, ca), ca.issue("zoe", lasts=-DAY / 24), "expired")


def test_one_that_is_not_valid_yet(lab: Lab, ca: Authority) -> None:
    refused(lab, start(lab, ca), ca.issue("zoe", begins=DAY / 24), "not yet")


def test_one_of_a_server(lab: Lab, ca: Authority) -> None:
    refused(lab, start(lab, ca), ca.issue("zoe", usage=SERVER), "purpose")


def test_one_without_a_purpose_is_good_for_any(lab: Lab, ca: Authority) -> None:
    start(lab, ca)
    present(lab, ca.issue("zoe", usage=())).await_connected()


def test_one_of_another_authority_of_the_same_name(lab: Lab, ca: Authority) -> None:
    server = start(lab, ca)
    refused(lab, server, Authority(lab, "ca").issue("zoe"), "signature|issuer|not trusted")


def test_one_of_an_intermediate_authority_that_is_not_sent_along(lab: Lab, ca: Authority) -> None:
    refused(lab, start(lab, ca), Authority(lab, "below", ca).issue("zoe"), "issuer is unknown|none was sent")


# ---- bad ones: valid, but nobody's ----------------------------------------------------------------------------------


def nobodys(lab: Lab, server: Server, card: Card, why: str) -> None:
    """The handshake is good, and the login refused."""
    client = present(lab, card)
    assert client.wait() != 0
    assert server.log.wait_for(rf"the client certificate lets nobody in: {why}")
    client.output.wait_for(REFUSED)
    assert not server.log.find("is authenticated")


def test_one_without_a_user(lab: Lab, ca: Authority) -> None:
    nobodys(lab, start(lab, ca), ca.issue(uids=["zoe"]), "it has no user name in 2.5.4.3")


def test_one_without_an_address(lab: Lab, ca: Authority) -> None:
    server = start(lab, ca, cert_user_oid="SAN(rfc822name)")
    nobodys(lab, server, ca.issue("zoe"), r"it has no user name in SAN\(rfc822name\)")


def test_one_whose_name_is_no_utf_8(lab: Lab, ca: Authority) -> None:
    nobodys(lab, start(lab, ca), ca.issue("qqqq", raw=b"\xff\xfe\xff\xfe"), "A name in .* is (not UTF-8|no plain text)")


def test_one_whose_name_has_a_nul(lab: Lab, ca: Authority) -> None:
    nobodys(lab, start(lab, ca), ca.issue("zoeqq", raw=b"zoe\0q"), "A name in .* (NUL|no plain text)")


def test_one_whose_name_breaks_the_line(lab: Lab, ca: Authority) -> None:
    nobodys(lab, start(lab, ca), ca.issue("zoe\nq"), "its user name is empty, or has characters")


def test_one_whose_name_has_200_bytes(lab: Lab, ca: Authority) -> None:
    nobodys(lab, start(lab, ca), ca.issue("z" * 200), "its user name has 200 bytes; 63 are the most")


def test_of_two_names_the_first_counts_and_the_log_says_so(lab: Lab, ca: Authority) -> None:
    server = start(lab, ca)
    present(lab, ca.issue("zoe", "bob")).await_connected()
    assert server.log.wait_for(r"has 2 user names in 2.5.4.3; the first counts: 'zoe' \(not 'bob'\)")
    assert server.log.wait_for("'zoe' from .* is authenticated by certificate")

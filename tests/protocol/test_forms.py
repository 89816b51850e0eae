"""The documents that we send are well-formed, escaped, and what clients look for."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocserv_core.config.values import Group
from ocserv_core.protocol.forms import (
    PASSWORD,
    USERNAME,
    Field,
    Form,
    Success,
    answer_field,
    build_acknowledgement,
    build_error,
    build_form,
    build_success,
)

GROUPS = (Group("staff", "Staff & <members>"), Group("guests", "guests"))
FORM = Form("Please enter your username.", (USERNAME, PASSWORD), GROUPS, "staff", banner="Hi", handle="h1")
SUCCESS = Success("cookie", "Banner", "AB", ("p.xml", "CD"))


def child(document: bytes, path: str) -> ET.Element:
    found = ET.fromstring(document.decode()).find(path)
    assert found is not None
    return found


def test_a_form_posts_to_auth() -> None:
    assert child(build_form(FORM), "auth/form").attrib == {"method": "post", "action": "/auth"}


def test_a_form_has_the_id_that_clients_insist_on() -> None:
    assert child(build_form(FORM), "auth").attrib == {"id": "main"}


def test_a_form_has_its_inputs_in_order() -> None:
    inputs = [(i.get("type"), i.get("name")) for i in child(build_form(FORM), "auth/form").iter("input")]
    assert inputs == [("text", "username"), ("password", "password")]


def test_an_option_has_value_and_label() -> None:
    option = child(build_form(FORM), "auth/form/select/option")
    assert (option.get("value"), option.get("selected"), option.text) == ("staff", "true", "Staff & <members>")


def test_an_empty_list_is_left_out() -> None:
    assert b"<select" not in build_form(Form("m", (USERNAME,)))


def test_a_handle_goes_out_as_opaque() -> None:
    assert child(build_form(FORM), "opaque/aggauth-handle").text == "h1"


def test_an_error_is_shown() -> None:
    assert child(build_form(Form("m", (USERNAME,), error="No")), "auth/error").text == "No"


@pytest.mark.parametrize(("handle", "auth_id"), [("", "main"), ("h1", "passwd")])
def test_openconnect_3_gets_the_inner_element_alone(handle: str, auth_id: str) -> None:
    root = ET.fromstring(build_form(Form("m", (PASSWORD,), handle=handle), v3=True).decode())
    assert (root.tag, root.attrib) == ("auth", {"id": auth_id})


@pytest.mark.parametrize(
    ("counter", "secret", "field"),
    [
        (0, True, Field("password", "password", "Password:")),
        (1, True, Field("password", "secondary_password", "Password2:")),
        (2, True, Field("password", "secondary_password", "Password3:")),
        (0, False, Field("text", "answer", "Answer:")),
    ],
)
def test_the_field_for_a_question(counter: int, secret: bool, field: Field) -> None:
    assert answer_field(counter, secret) == field


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("session-token", "cookie"),
        ("auth/banner", "Banner"),
        ("config/vpn-base-config/server-cert-hash", "AB"),
        ("config/vpn-profile-manifest/vpn/file/uri", "/profiles/p.xml"),
        ("config/vpn-profile-manifest/vpn/file/hash", "CD"),
    ],
)
def test_what_success_says(path: str, text: str) -> None:
    assert child(build_success(SUCCESS), path).text == text


def test_success_is_complete() -> None:
    assert ET.fromstring(build_success(SUCCESS).decode()).get("type") == "complete"


def test_success_without_anything_to_configure() -> None:
    assert ET.fromstring(build_success(Success("cookie")).decode()).find("config") is None


def test_success_for_openconnect_3() -> None:
    assert ET.fromstring(build_success(SUCCESS, v3=True).decode()).get("id") == "success"


def test_success_shows_no_cookie_in_its_repr() -> None:
    assert "cookie" not in repr(SUCCESS)


def test_an_error_has_nothing_to_fill_in() -> None:
    document = build_error("No <way>")
    assert [child(document, f"auth/{name}").text for name in ("message", "error")] == ["No <way>"] * 2
    assert list(child(document, "auth/form")) == []


def test_an_acknowledgement_is_a_document() -> None:
    assert ET.fromstring(build_acknowledgement().decode()).get("type") == "complete"


@given(st.text(max_size=50), st.text(max_size=20), st.text(max_size=20))
def test_whatever_an_administrator_writes_stays_text(message: str, banner: str, label: str) -> None:
    document = build_form(Form(message, (USERNAME,), (Group(label, label),), banner=banner))
    assert [element.tag for element in ET.fromstring(document.decode()).iter("input")] == ["input"]

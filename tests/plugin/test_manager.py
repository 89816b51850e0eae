"""The strict loader, against distributions that are really installed in a folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .site import GOOD, Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_stranger_s_back_end_is_loaded(site: Site) -> None:
    site.install("ours")
    assert site.load("ours") == ({"loaded": ["Backend"], "error": "", "modules": ["fake_ours"]}, "")


def test_our_own_enters_by_the_same_door(site: Site) -> None:
    assert site.refusal("plain").startswith("o.conf:1: plain: passwd=FILE is missing, the file that ocpasswd writes")


def test_only_what_is_named_is_imported(site: Site) -> None:
    site.install("ours")
    site.install("broken", "raise RuntimeError")
    assert site.load("ours")[0]["modules"] == ["fake_ours"]


def test_the_order_is_the_configuration_s(site: Site) -> None:
    site.install("a", GOOD.replace("Backend", "First") + "\nBackend = First\n")
    site.install("b")
    assert site.load("b", "a")[0]["loaded"] == ["Backend", "First"]


def test_a_missing_back_end_is_told_with_those_that_are_there(site: Site) -> None:
    site.install("ours")
    said = site.refusal("ours", "theirs")
    match = re.fullmatch(r"o\.conf:2: the auth back end 'theirs' is not installed \(installed: (.*)\)", said)
    assert match
    # And whatever else this environment has.
    assert {"ours", "plain"} <= set(match[1].split(", "))


@pytest.mark.parametrize(
    ("group", "name", "distribution"),
    [
        ("ocserv.auth", "pam", "ocserv-auth-pam"),
        ("ocserv.auth", "certificate", "ocserv-auth-cert"),
        ("ocserv.acct", "radius", "ocserv-acct-radius"),
    ],
)
def test_for_our_own_distributions_the_command_is_named(site: Site, group: str, name: str, distribution: str) -> None:
    said = site.refusal(name, group=group)
    assert said.startswith(f"o.conf:1: the {group[7:]} back end '{name}' is not installed")
    assert said.endswith(f"; try: pip install {distribution}")


def test_a_group_with_nothing_installed_says_so(site: Site) -> None:
    assert "(installed: none)" in site.refusal("x", group="ocserv.acct")


def test_a_name_that_two_distributions_give_is_refused(site: Site) -> None:
    site.install("ours")
    site.install("ours", module="fake_other")
    said = site.refusal("ours")
    assert said.startswith("o.conf:1: the auth back end 'ours' is installed more than once (fake_")
    assert "fake_other:Backend" in said


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("import nothing_of_that_name", "ModuleNotFoundError(\"No module named 'nothing_of_that_name'\")"),
        ("class Other: pass", "has no attribute 'Backend'"),
        ("def broken(", "SyntaxError"),
        ("assert False, 'sorry'", "AssertionError('sorry')"),
    ],
)
def test_a_class_that_does_not_load_is_told_with_its_cause(site: Site, source: str, why: str) -> None:
    site.install("ours", source)
    said = site.refusal("ours")
    assert said.startswith("o.conf:1: the back end 'ours' of ocserv.auth")
    assert why in said


@pytest.mark.parametrize("version", ["(2, 0)", "(0, 9)"])
def test_another_major_of_the_interface_is_refused(site: Site, version: str) -> None:
    site.install("ours", GOOD.replace("(1, 0)", version))
    asked = version.strip("()").replace(", ", ".")
    assert site.refusal("ours") == f"o.conf:1: ours: written for plugin API {asked}, this server offers 1.0"


def test_a_class_without_a_version_is_refused(site: Site) -> None:
    site.install("ours", GOOD.replace("ocserv_api = (1, 0)", "pass"))
    assert site.refusal("ours") == "o.conf:1: ours: written for plugin API none, this server offers 1.0"


@pytest.mark.parametrize("version", ["1", "'1.0'", "(1,)", "(1, 0, 0)", "('1', '0')"])
def test_a_version_that_is_no_pair_of_numbers_is_refused(site: Site, version: str) -> None:
    site.install("ours", GOOD.replace("(1, 0)", version))
    assert "this server offers 1.0" in site.refusal("ours")


def test_a_newer_minor_is_loaded_with_a_warning(site: Site) -> None:
    site.install("ours", GOOD.replace("(1, 0)", "(1, 7)"))
    outcome, warned = site.load("ours")
    assert outcome["loaded"] == ["Backend"]
    assert warned == "ours: written for plugin API 1.7, newer than 1.0\n"


def test_an_option_that_the_back_end_refuses_is_told_at_its_line(site: Site) -> None:
    source = "from ocserv_core.plugin import OptionError\n" + GOOD.replace(
        "self.options = options", "raise OptionError(\"unknown option 'x'; there is y\")"
    )
    site.install("ours", source)
    assert site.refusal("ours") == "o.conf:1: ours: unknown option 'x'; there is y"


def test_a_back_end_that_fails_to_set_up_is_told_with_its_cause(site: Site) -> None:
    site.install("ours", GOOD.replace("self.options = options", "raise RuntimeError('no')"))
    assert site.refusal("ours") == "o.conf:1: ours: cannot be set up: RuntimeError('no')"


def test_an_authenticate_may_be_a_plain_def(site: Site) -> None:
    site.install("ours", GOOD.replace("async def", "def"))
    assert site.load("ours")[0]["loaded"] == ["Backend"]


@pytest.mark.parametrize("where", ["    def __init__(self", ""], ids=["made", "imported"])
def test_one_that_would_end_the_process_is_refused(site: Site, where: str) -> None:
    leaving = GOOD.replace(where, "    def __init__(self, _options, _context): raise SystemExit(3)\n    def old(self")
    site.install("ours", leaving if where else f"raise SystemExit(3)\n{GOOD}")
    said = site.refusal("ours")
    assert said.startswith("o.conf:1: ")
    assert said.endswith(": SystemExit(3)")


def test_a_hook_that_is_not_marked_is_refused(site: Site) -> None:
    site.install("ours", GOOD.replace("@hookimpl\n", "\n"))
    assert site.refusal("ours") == "o.conf:1: ours: ocserv_authenticate has no @hookimpl"


def test_a_back_end_without_the_hook_that_it_is_for_is_refused(site: Site) -> None:
    site.install("ours", f"{GOOD}\ndel Backend.ocserv_authenticate\n")
    assert site.refusal("ours") == (
        "o.conf:1: ours: it has no ocserv_authenticate, which a back end of ocserv.auth is for"
    )


def test_limits_of_another_kind_are_refused(site: Site) -> None:
    site.install("ours", GOOD.replace("ocserv_api = (1, 0)", "ocserv_api = (1, 0)\n    ocserv_limits = 3"))
    assert site.refusal("ours") == "o.conf:1: ours: ocserv_limits must be Limits(…), not 3"


def test_a_hook_that_no_spec_knows_is_refused(site: Site) -> None:
    site.install("ours", GOOD + "\n    @hookimpl\n    def ocserv_authentikate(self):\n        pass\n")
    assert "unknown hook 'ocserv_authentikate'" in site.refusal("ours")


def test_a_hook_with_an_argument_that_the_spec_has_not_is_refused(site: Site) -> None:
    site.install("ours", GOOD.replace("login, ask", "login, ask, colour"))
    assert "colour" in site.refusal("ours")


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ("concurrency=0", "concurrency must be at least 1, not 0"),
        ("threads=-1", "threads must be at least 1, not -1"),
        ("failures=0", "failures must be at least 1, not 0"),
        ("deadline=0.0", "deadline and pause must be positive"),
        ("concurrency=1.5", "concurrency must be a whole number, not 1.5"),
        ("deadline='5'", "deadline must be a number of seconds, not '5'"),
        ("pause=-1.0", "deadline and pause must be positive"),
    ],
)
def test_limits_that_make_no_sense_are_refused(site: Site, limits: str, said: str) -> None:
    words = f"from ocserv_core.plugin import Limits\n{GOOD}"
    given = words.replace("ocserv_api = (1, 0)", f"ocserv_api = (1, 0)\n    ocserv_limits = Limits({limits})")
    site.install("ours", given)
    assert site.refusal("ours") == f"o.conf:1: ours: ocserv_limits: {said}"


# ---- where it runs ------------------------------------------------------------------------------------------------

PLAIN = GOOD.replace("async def ocserv_authenticate", "def ocserv_authenticate")


def in_process(source: str, process: str) -> str:
    return source.replace("    ocserv_api = (1, 0)\n", f"    ocserv_api = (1, 0)\n    ocserv_process = {process!r}\n")


def test_a_plain_def_may_run_in_a_child(site: Site) -> None:
    site.install("ours", in_process(PLAIN, "child"))
    assert site.load("ours")[0]["loaded"] == ["Backend"]


def test_an_async_def_may_not(site: Site) -> None:
    site.install("ours", in_process(GOOD, "child"))
    said = "o.conf:1: ours: ocserv_authenticate is an async def, which runs in no child"
    assert site.refusal("ours") == said


def test_what_a_back_end_serves_runs_in_secmod_all_the_same(site: Site) -> None:
    serve = "\n    @hookimpl\n    async def ocserv_serve(self):\n        return None\n"
    site.install("ours", in_process(PLAIN, "child") + serve)
    assert site.load("ours")[0]["loaded"] == ["Backend"]


def test_a_process_that_there_is_not(site: Site) -> None:
    site.install("ours", in_process(PLAIN, "elsewhere"))
    assert site.refusal("ours") == "o.conf:1: ours: ocserv_process must be 'secmod' or 'child', not 'elsewhere'"

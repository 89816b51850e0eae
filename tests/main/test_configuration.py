"""A configuration on its way into the server, in two phases: where anybody refuses, nothing has changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ocserv_core.config.tree import ServerConfig
from ocserv_core.config.worker import WorkerConfig
from ocserv_core.errors import ConfigError, ConfigErrors, OcservError, StartError
from ocserv_core.ipc.messages import Configured
from ocserv_core.main.configuration import Configuration, load, read_contents
from tests.loop import on_loop
from tests.secmod.test_prepare import configuration


class FakeNursery:
    crl_until: Mapping[str, float] = {}

    def __init__(self, steps: list[str]) -> None:
        self._steps = steps

    async def stop(self, _timeout: float) -> None:
        self._steps.append("nursery stopped")


class House:
    """secmod and the nurseries, and the steps that they took."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.secmod_refuses: OcservError | None = None
        self.nursery_refuses: OcservError | None = None
        self.secmod_restarts = False
        self.workers: WorkerConfig | None = None
        self.groups: dict[str, tuple[str, ...]] = {}
        parts: tuple[Any, ...] = (self, _Nurseries(self))
        self.configuration = Configuration(*parts)

    async def configure(self, generation: int, _config: ServerConfig) -> Configured:
        self.steps.append(f"secmod prepares {generation}")
        if self.secmod_refuses:
            raise self.secmod_refuses
        return Configured(generation, self.groups)

    def commit(self, generation: int) -> None:
        if self.secmod_restarts:
            raise StartError("secmod was restarted")
        self.steps.append(f"secmod commits {generation}")

    def discard(self, generation: int) -> None:
        self.steps.append(f"secmod discards {generation}")


class _Nurseries:
    def __init__(self, house: House) -> None:
        self._house = house

    async def prepare(self, config: WorkerConfig) -> FakeNursery:
        self._house.steps.append(f"nursery prepares {config.generation}")
        if self._house.nursery_refuses:
            raise self._house.nursery_refuses
        self._house.workers = config
        return FakeNursery(self._house.steps)

    def commit(self, _nursery: FakeNursery) -> None:
        self._house.steps.append("nursery commits")


ALL = ["secmod prepares {0}", "nursery prepares {0}", "secmod commits {0}", "nursery commits"]


def steps(*generations: int) -> list[str]:
    return [step.format(generation) for generation in generations for step in ALL]


@pytest.fixture
def house() -> House:
    return House()


def apply(house: House, config: ServerConfig) -> None:
    on_loop(house.configuration.apply(config))


def refused(house: House, config: ServerConfig) -> str:
    with pytest.raises(OcservError) as caught:
        apply(house, config)
    return str(caught.value)


def test_both_prepare_before_one_commits(house: House, tmp_path: Path) -> None:
    apply(house, configuration(tmp_path))
    assert house.steps == steps(1)


def test_each_configuration_has_its_generation(house: House, tmp_path: Path) -> None:
    apply(house, configuration(tmp_path))
    apply(house, configuration(tmp_path))
    assert house.steps == steps(1, 2)


def test_workers_get_the_groups_that_secmod_found(house: House, tmp_path: Path) -> None:
    house.groups = {"default": ("staff",)}
    apply(house, configuration(tmp_path, "auto-select-group = true\n"))
    assert house.workers is not None
    assert [group.name for group in house.workers.vhosts[0].groups] == ["staff"]


def test_where_secmod_refuses_nothing_has_changed(house: House, tmp_path: Path) -> None:
    before = configuration(tmp_path)
    apply(house, before)
    house.secmod_refuses = ConfigErrors([ConfigError("no", "o.conf", 3)])
    assert refused(house, configuration(tmp_path, "dpd = 5\n")) == "o.conf:3: no"
    assert house.configuration.current is before
    assert house.steps == [*steps(1), "secmod prepares 2"]


@pytest.mark.parametrize("refusal", [ConfigErrors([ConfigError("no")]), StartError("no")])
def test_where_the_nursery_refuses_secmod_forgets_and_nothing_has_changed(
    house: House, tmp_path: Path, refusal: OcservError
) -> None:
    before = configuration(tmp_path)
    apply(house, before)
    house.nursery_refuses = refusal
    refused(house, configuration(tmp_path, "dpd = 5\n"))
    assert house.configuration.current is before
    assert house.steps[4:] == ["secmod prepares 2", "nursery prepares 2", "secmod discards 2"]


def test_where_secmod_was_restarted_meanwhile_nothing_has_changed(house: House, tmp_path: Path) -> None:
    before = configuration(tmp_path)
    apply(house, before)
    house.secmod_restarts = True
    assert "secmod was restarted" in refused(house, configuration(tmp_path))
    assert house.configuration.current is before
    assert house.steps[-1:] == ["nursery stopped"]


def test_after_a_refusal_the_next_one_is_taken(house: House, tmp_path: Path) -> None:
    house.nursery_refuses = StartError("no")
    refused(house, configuration(tmp_path))
    house.nursery_refuses = None
    apply(house, configuration(tmp_path))
    assert house.steps[-4:] == steps(2)


def test_a_new_secmod_gets_what_is_in_force_by_the_same_two_phases(house: House, tmp_path: Path) -> None:
    before = configuration(tmp_path)
    apply(house, before)
    on_loop(house.configuration.renew())
    assert (house.configuration.current, house.steps) == (before, steps(1, 2))


def test_a_certificate_that_is_missing_is_told_before_anybody_is_asked(house: House, tmp_path: Path) -> None:
    config = configuration(tmp_path)
    (tmp_path / "p256-cert.pem").unlink()
    assert (
        refused(house, config)
        == f"o.conf:4: server-cert: cannot read '{tmp_path}/p256-cert.pem': No such file or directory"
    )
    assert house.steps == []


def test_a_stapled_response_that_is_missing_is_told_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    contents = read_contents(configuration(tmp_path, f"ocsp-response = {tmp_path}/none\n"))
    assert list(contents) == [f"{tmp_path}/p256-cert.pem"]
    assert f"cannot read '{tmp_path}/none'" in caplog.text


def test_every_missing_file_is_told(tmp_path: Path) -> None:
    config = configuration(tmp_path, f"dh-params = {tmp_path}/dh\n")
    (tmp_path / "p256-cert.pem").unlink()
    with pytest.raises(ConfigErrors) as caught:
        read_contents(config)
    assert [error.line for error in caught.value.errors] == [4, 8]


def test_a_file_that_is_not_there_is_told() -> None:
    with pytest.raises(ConfigError, match=r"^cannot read '/nowhere/o\.conf': No such file or directory$"):
        load("/nowhere/o.conf")


def test_warnings_of_a_file_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from tests.config.texts import MINIMAL

    (tmp_path / "o.conf").write_text(MINIMAL + "nonsense = 1\n")
    load(str(tmp_path / "o.conf"))
    assert caplog.messages[0].startswith(f"{tmp_path}/o.conf:8: ")


def test_a_reload_keeps_what_needs_a_restart_and_says_so(house: House, tmp_path: Path) -> None:
    from tests.config.texts import MINIMAL

    configuration(tmp_path)
    own = MINIMAL.replace("cert.pem", f"{tmp_path}/p256-cert.pem").replace("= key.pem", f"= {tmp_path}/p256-key.pem")
    path = tmp_path / "o.conf"
    path.write_text(own)
    apply(house, load(str(path)))
    path.write_text(own.replace("tcp-port = 443", "tcp-port = 4443") + "dpd = 7\n")

    async def dialogue() -> None:
        assert await house.configuration.reload() == ("'tcp-port' has changed; it takes effect at the next start",)

    on_loop(dialogue())
    current = house.configuration.current
    assert (current.server.tcp_port, current.default.options.dpd) == (443, 7)

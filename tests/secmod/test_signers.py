"""Real signers: who gets a task, and what becomes of it when one dies."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from ocserv_core.errors import PeerViolation
from ocserv_core.ipc.messages import Decrypt, Sign, SignerDone
from ocserv_core.secmod.keys import KeyRing, PrivateKey
from ocserv_core.secmod.signer_process import SignerProcess, end_signers
from ocserv_core.secmod.signers import Signers
from ocserv_core.system.children import wait_exit
from tests.loop import on_loop

from . import pki

DIGEST = hashlib.sha256(b"text").digest()
SIGN = Sign("default", 0, "ECDSA-SHA256", DIGEST)


def rings() -> dict[str, KeyRing]:
    keys = [key for key in (pki.key("p256"), pki.key("rsa")) if isinstance(key, PrivateKey)]
    return {"default": KeyRing(keys), "b.example": KeyRing(keys[1:])}


def valid(signature: bytes) -> bool:
    public = pki.key("p256").public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(signature, DIGEST, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
    return True


async def have(signers: Signers, count: int) -> None:
    """Wait until so many are ready."""
    while signers.ready < count:  # noqa: ASYNC110 (what their processes say comes by the loop)
        await asyncio.sleep(0.005)


def pids() -> list[int]:
    """Of the processes that run, the oldest first."""
    return [process.pid for process in sorted(SignerProcess.running, key=lambda process: -process.age)]


def status_of(pid: int) -> dict[str, str]:
    """As the kernel tells it."""
    return dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines())


def asked(signers: Signers, what: Sign | Decrypt = SIGN) -> asyncio.Future[bytes]:
    """Its answer."""
    answer = asyncio.get_running_loop().create_future()
    signers.ask(what, answer.set_result)
    return answer


def dialogue(run: Callable[[Signers], Coroutine[Any, Any, None]], count: int = 2, *, at_once: bool = True) -> None:
    """Between some signers and who asks them."""

    async def whole() -> None:
        signers = Signers(rings(), count, at_once=at_once)
        signers.start()
        try:
            await run(signers)
        finally:
            signers.retire()
            await end_signers()
        assert SignerProcess.running == set()

    on_loop(whole())


def test_one_is_secmod_itself_which_answers_at_once() -> None:
    async def run(signers: Signers) -> None:
        assert valid(asked(signers).result())
        assert pids() == []

    dialogue(run, count=1)


def test_secmod_signs_itself_until_a_signer_is_ready() -> None:
    async def run(signers: Signers) -> None:
        assert signers.ready == 0
        assert valid(asked(signers).result())
        await have(signers, 2)
        later = asked(signers)
        assert not later.done()
        assert valid(await later)

    dialogue(run)


def test_every_vhost_has_its_keys_and_a_premaster_secret_is_decrypted() -> None:
    async def run(signers: Signers) -> None:
        await have(signers, 1)
        public = pki.key("rsa").public_key()
        assert isinstance(public, rsa.RSAPublicKey)
        encrypted = public.encrypt(b"s" * 48, padding.PKCS1v15())
        assert await asked(signers, Decrypt("default", 1, encrypted)) == b"s" * 48
        assert await asked(signers, Decrypt("b.example", 0, encrypted)) == b"s" * 48

    dialogue(run)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (Sign("default", 9, "ECDSA-SHA256", DIGEST), "signature refused (vhost default, key 9): there is no key 9"),
        (
            Sign("default", 1, "RSA-RAW", DIGEST),
            "signature refused (vhost default, key 1): unknown algorithm 'RSA-RAW'",
        ),
        (Decrypt("default", 0, bytes(256)), "decryption refused (vhost default, key 0): not an RSA key"),
        (Sign("nobody", 0, "ECDSA-SHA256", DIGEST), "signature refused (vhost nobody, key 0): unknown vhost"),
    ],
)
def test_what_a_signer_refuses_is_logged_by_secmod(
    caplog: pytest.LogCaptureFixture, what: Sign | Decrypt, said: str
) -> None:
    async def run(signers: Signers) -> None:
        await have(signers, 1)
        assert await asked(signers, what) == b""

    dialogue(run)
    assert said in caplog.text


def test_where_the_number_is_chosen_another_is_started_when_none_is_idle() -> None:
    async def run(signers: Signers) -> None:
        await have(signers, 1)
        for _ in range(3):
            assert valid(await asked(signers))
        assert len(pids()) == 1
        waiting = [asked(signers) for _ in range(2)]
        assert len(pids()) == 2
        assert all([valid(await answer) for answer in waiting])
        await have(signers, 2)
        waiting = [asked(signers) for _ in range(9)]
        assert len(pids()) == 3
        assert all([valid(await answer) for answer in waiting])

    dialogue(run, count=3, at_once=False)


def test_the_one_with_the_least_in_flight_has_the_next() -> None:
    async def run(signers: Signers) -> None:
        await have(signers, 2)
        first, second = sorted(SignerProcess.running, key=lambda process: -process.age)
        os.kill(first.pid, signal.SIGSTOP)
        waiting = [asked(signers) for _ in range(4)]
        assert (first.in_flight(), second.in_flight()) == (2, 2)
        done, _ = await asyncio.wait([asyncio.gather(*waiting[1::2])])
        assert done
        await asyncio.sleep(0)
        assert second.in_flight() == 0
        more = [asked(signers) for _ in range(2)]
        assert (first.in_flight(), second.in_flight()) == (2, 2)
        assert all([valid(await answer) for answer in more])
        os.kill(first.pid, signal.SIGCONT)
        assert all([valid(await answer) for answer in waiting])

    dialogue(run)


def test_what_a_signer_had_in_flight_when_it_died_is_signed_by_another() -> None:
    async def run(signers: Signers) -> None:
        await have(signers, 2)
        before = pids()
        os.kill(before[0], signal.SIGSTOP)
        waiting = [asked(signers) for _ in range(6)]
        os.kill(before[0], signal.SIGKILL)
        assert all([valid(await answer) for answer in waiting])
        await have(signers, 2)
        assert before[0] not in pids()
        assert before[1] in pids()

    dialogue(run)


def test_the_death_of_all_is_no_end_of_signing() -> None:
    async def run(signers: Signers) -> None:
        await have(signers, 2)
        for pid in pids():
            os.kill(pid, signal.SIGSTOP)
        waiting = [asked(signers) for _ in range(6)]
        for pid in pids():
            os.kill(pid, signal.SIGKILL)
        assert all([valid(await answer) for answer in waiting])
        assert valid(await asked(signers))
        await have(signers, 2)

    dialogue(run)


def test_one_that_answers_what_nobody_asked_is_killed_and_its_tasks_are_done_by_another() -> None:
    async def run(signers: Signers) -> None:
        await have(signers, 2)
        first = min(SignerProcess.running, key=lambda process: process.pid)
        first._on_channel_end(PeerViolation("an answer that nobody asked for"))
        await wait_exit(first.pid)
        assert valid(await asked(signers))
        with pytest.raises(PeerViolation, match="nobody asked for"):
            first._on_signer_done(SignerDone(99, b"forged"))

    dialogue(run)


def test_a_configuration_that_is_retired_answers_what_is_in_flight_and_then_signs_by_itself() -> None:
    async def run(signers: Signers) -> None:
        await have(signers, 2)
        gone = pids()
        waiting = [asked(signers) for _ in range(8)]
        signers.retire()
        assert valid(asked(signers).result())
        assert all([valid(await answer) for answer in waiting])
        for pid in gone:
            await wait_exit(pid)

    dialogue(run)


def test_a_signer_sees_no_file_no_network_and_has_no_capability() -> None:
    async def run(signers: Signers) -> None:
        await have(signers, 1)
        (pid, *_) = pids()
        status = status_of(pid)
        assert {status[name].strip("\t\n0") for name in ("CapPrm", "CapEff", "CapInh")} == {""}
        assert status["NoNewPrivs"].strip() == "1"
        if os.geteuid() == 0:
            assert os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/self/ns/net")
        assert {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in range(3)} == {os.devnull}

    dialogue(run)

"""PAM with users and services of a test's own: a folder that stands in for /etc, in a private mount namespace. Nothing
of the machine is changed; a password may be changed in there as on any system."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from ocserv_core.system import crypt

SECURITY = Path("/usr/lib") / f"{os.uname().machine}-linux-gnu" / "security"

_COPIED = ("ld.so.cache", "localtime", "login.defs", "security", "gnutls", "ssl", "alternatives", "environment")
_NSSWITCH = "passwd: files\ngroup: files\nshadow: files\nhosts: files\n"
_FIRST_ID = 20000

SECRET = "3132333435363738393031323334353637383930"
"""Of every user's one-time passwords, in hexadecimal."""

UNIX = """\
auth     required pam_unix.so nodelay
account  required pam_unix.so
password required pam_unix.so sha256 rounds=1000
"""

UNIX_AND_OTP = """\
auth     requisite pam_unix.so nodelay
auth     required  pam_oath.so usersfile=/etc/oath window=20 digits=6
account  required  pam_unix.so
"""


class Pam:
    """A folder that is /etc for whoever is started by `argv`."""

    def __init__(self, folder: Path) -> None:
        self.etc = folder / "etc"
        self._modules = folder
        self._ids: dict[str, int] = {}
        self.passwords: dict[str, str] = {}
        (self.etc / "pam.d").mkdir(parents=True)
        for name in _COPIED:
            self._copy(Path("/etc") / name)
        self.write("nsswitch.conf", _NSSWITCH)
        self.write("passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n")
        self.write("group", "root:x:0:\nnogroup:x:65534:\n")
        self.write("shadow", "root:*:19000:0:99999:7:::\n", mode=0o640)

    def _copy(self, source: Path) -> None:
        if source.is_dir():
            shutil.copytree(source, self.etc / source.name, symlinks=True)
        elif source.exists():
            shutil.copy(source, self.etc / source.name)

    def argv(self, *argv: str) -> list[str]:
        """The words that run `argv` with this /etc; the process is replaced, so its pid stays."""
        inside = 'mount --bind "$0" /etc && exec "$@"'
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", inside, str(self.etc), *argv]

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, whatever its exit status."""
        return subprocess.run(self.argv(*argv), capture_output=True, text=True, timeout=60)

    # ---- services

    def write(self, name: str, text: str, *, mode: int = 0o644) -> str:
        """A file of /etc; the path that it has inside."""
        path = self.etc / name
        path.write_text(text)
        path.chmod(mode)
        return f"/etc/{name}"

    def service(self, name: str, rules: str) -> None:
        """The file of a PAM service."""
        self.write(f"pam.d/{name}", rules)

    def script(self, name: str, lines: str) -> str:
        """A program for pam_exec; its path inside."""
        return self.write(name, f"#!/bin/sh\n{lines}\n", mode=0o755)

    def module(self, name: str, source: str) -> str:
        """Compile a PAM module; its path."""
        path = self._modules / f"{name}.so"
        words = ["gcc", "-shared", "-fPIC", "-O1", "-x", "c", "-o", str(path), "-", "-l:libpam.so.0"]
        subprocess.run(words, input=source, text=True, check=True, timeout=60)
        return str(path)

    # ---- users

    def add_user(
        self, name: str, *, group: str = "users", groups: Sequence[str] = (), changed: int | None = None
    ) -> str:
        """A user with a random password, which is returned. changed: the day of its last change; 0 means that it must
        be changed now."""
        password = self.passwords[name] = f"{name.encode().hex()}-{secrets.token_hex(6)}"
        day = int(time.time() // 86400) if changed is None else changed
        hashed = crypt.hash_password(password.encode(), f"$5$rounds=1000${secrets.token_hex(8)}$")
        uid, gid = self._id_of(f"user {name}"), self.add_group(group)
        self._append("passwd", f"{name}:x:{uid}:{gid}::/nonexistent:/usr/sbin/nologin\n")
        self._append("shadow", f"{name}:{hashed}:{day}:0:99999:7:::\n")
        for other in groups:
            self.add_group(other, name)
        return password

    def lock(self, name: str) -> None:
        """The account has expired long ago; its password is right."""
        lines = (self.etc / "shadow").read_text().splitlines()
        changed = [f"{line.rstrip(':')}::1:" if line.startswith(f"{name}:") else line for line in lines]
        self.write("shadow", "\n".join(changed) + "\n", mode=0o640)

    def add_group(self, name: str, *members: str) -> int:
        """Its number."""
        gid = self._id_of(f"group {name}")
        self._append("group", f"{name}:x:{gid}:{','.join(members)}\n")
        return gid

    def _id_of(self, what: str) -> int:
        return self._ids.setdefault(what, _FIRST_ID + len(self._ids))

    def _append(self, name: str, line: str) -> None:
        text = (self.etc / name).read_text()
        if line not in text:
            (self.etc / name).write_text(text + line)

    def add_otp(self, *names: str) -> None:
        """One-time passwords (TOTP, six digits)."""
        self.write("oath", "".join(f"HOTP/T30/6\t{name}\t-\t{SECRET}\n" for name in names), mode=0o600)


def otp() -> str:
    """The one-time password of this moment."""
    done = subprocess.run(["oathtool", "--totp", SECRET], capture_output=True, text=True, check=True, timeout=20)
    return done.stdout.strip()


MOODS = r"""
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct pam_message { int style; const char *text; };
struct pam_response { char *text; int code; };
struct pam_conv { int (*ask)(int, const struct pam_message **, struct pam_response **, void *); void *data; };

extern int pam_get_item(const void *, int, const void **);
extern int pam_set_item(void *, int, const void *);

enum { USER = 2, CONV = 5, OFF = 1, ON = 2, ERROR = 3, INFO = 4, SUCCESS = 0, SYSTEM_ERR = 4, AUTH_ERR = 7 };

static int converse(void *handle, int count, const struct pam_message *messages, struct pam_response **answers)
{
    const struct pam_conv *conv = NULL;
    const struct pam_message *pointers[8];
    for (int i = 0; i < count; i++)
        pointers[i] = &messages[i];
    if (pam_get_item(handle, CONV, (const void **)&conv) != SUCCESS)
        return SYSTEM_ERR;
    return conv->ask(count, pointers, answers, conv->data);
}

static int is(const struct pam_response *answer, const char *word)
{
    return answer->text != NULL && strcmp(answer->text, word) == 0;
}

static int ask_all_at_once(void *handle)
{
    const struct pam_message messages[] = {
        { OFF, "Password: " }, { INFO, "Your token was sent." }, { ERROR, "Gr\xfc\xdf Gott" }, { ON, "Token: " },
    };
    struct pam_response *answers = NULL;
    int code = converse(handle, 4, messages, &answers);
    if (code != SUCCESS)
        return code;
    return is(&answers[0], "right") && is(&answers[3], "123456") ? SUCCESS : AUTH_ERR;
}

static int tell(void *handle, int style, const char *text)
{
    const struct pam_message message = { style, text };
    struct pam_response *answers = NULL;
    return converse(handle, 1, &message, &answers);
}

static int ask_many(void *handle, int count)
{
    const struct pam_message message = { OFF, "And now: " };
    struct pam_response *answers = NULL;
    for (int i = 0; i < count; i++) {
        int code = converse(handle, 1, &message, &answers);
        if (code != SUCCESS)
            return code;
    }
    return SUCCESS;
}

int pam_sm_authenticate(void *handle, int flags, int argc, const char **argv)
{
    const char *mood = argc ? argv[0] : "";
    const char *value = argc > 1 ? argv[1] : "";
    if (strcmp(mood, "crash") == 0)
        *(volatile int *)0 = 0;
    if (strcmp(mood, "exit") == 0)
        exit(0);
    if (strcmp(mood, "rename") == 0)
        return pam_set_item(handle, USER, value);
    if (strcmp(mood, "rename-latin1") == 0)
        return pam_set_item(handle, USER, "j\xfcrgen");
    if (strcmp(mood, "all-at-once") == 0)
        return ask_all_at_once(handle);
    if (strcmp(mood, "error") == 0) {
        tell(handle, ERROR, "This account is closed on Sundays.");
        return AUTH_ERR;
    }
    if (strcmp(mood, "code") == 0)
        return atoi(value);
    if (strcmp(mood, "many") == 0)
        return ask_many(handle, atoi(value));
    if (strcmp(mood, "closefrom") == 0)
        for (int fd = 3; fd < 256; fd++)
            close(fd);
    for (;;)
        pause();
}

int pam_sm_setcred(void *handle, int flags, int argc, const char **argv)
{
    return SUCCESS;
}

int pam_sm_acct_mgmt(void *handle, int flags, int argc, const char **argv)
{
    return argc > 1 && strcmp(argv[0], "code") == 0 ? atoi(argv[1]) : SUCCESS;
}
"""
"""A module that does what its first word says: crashes, hangs, renames the user, asks, fails with a code."""

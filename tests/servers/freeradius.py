"""FreeRADIUS with a configuration of the test's own: in the foreground, in a folder of the test's, on loopback of this
namespace or of another.

Users stand in the form of its users file. Beside what a test says of them: a challenge for whoever's name begins with
"otp" (password "first", then "123456"), one for "endless" that never ends, and everything accounted in `detail`.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path

from tests.interop.network import Namespace
from tests.interop.processes import Watched

SECRET = "a-secret-of-the-tests"
BOB = 'bob Cleartext-Password := "bobs-password"\n'

_CONFIG = """\
prefix = /usr
raddb = {folder}
libdir = /usr/lib/freeradius
run_dir = {folder}
logdir = {folder}
radacctdir = {folder}
name = radiusd
db_dir = {folder}
max_request_time = 10
cleanup_delay = 2
max_requests = 16384
log {{
  destination = stdout
  auth = no
}}
security {{
  max_attributes = 200
  reject_delay = 0
  status_server = yes
}}
thread pool {{
  start_servers = 4
  max_servers = 8
  min_spare_servers = 2
  max_spare_servers = 4
  max_requests_per_server = 0
}}
modules {{
  always ok {{
    rcode = ok
  }}
  always reject {{
    rcode = reject
  }}
  always handled {{
    rcode = handled
  }}
  pap {{
  }}
  files {{
    usersfile = {folder}/users
  }}
  detail acctlog {{
    filename = {folder}/detail
    permissions = 0600
  }}
}}
client everybody {{
  ipaddr = 127.0.0.0/8
  secret = {secret}
  require_message_authenticator = yes
}}
server default {{
  listen {{
    type = auth
    ipaddr = {address}
    port = {auth_port}
  }}
  listen {{
    type = acct
    ipaddr = {address}
    port = {acct_port}
  }}
  authorize {{
    if (&User-Name == "endless") {{
      update reply {{
        {signature}
        State := 0x6d6f7265
        Reply-Message := "And then?"
      }}
      update control {{
        Response-Packet-Type := Access-Challenge
      }}
      handled
    }}
    elsif (&State) {{
      if (&State == 0x30786f6e65 && &User-Password == "123456") {{
        update control {{
          Auth-Type := Accept
        }}
      }}
      else {{
        reject
      }}
    }}
    elsif (&User-Name =~ /^otp/ && &User-Password == "first") {{
      update reply {{
        {signature}
        Reply-Message := "Enter your code"
        State := 0x30786f6e65
      }}
      update control {{
        Response-Packet-Type := Access-Challenge
      }}
      handled
    }}
    else {{
      files
      pap
    }}
  }}
  authenticate {{
    Auth-Type PAP {{
      pap
    }}
  }}
  post-auth {{
    update reply {{
      {signature}
    }}
    Post-Auth-Type REJECT {{
      update reply {{
        {signature}
        Reply-Message := "This is not your password"
      }}
    }}
  }}
  preacct {{
  }}
  accounting {{
    acctlog
    ok
  }}
}}
"""

SIGNED = "Message-Authenticator := 0x00"
"""Debian 12's signs no reply unless it is told to."""


class FreeRadius:
    """One run, from a folder that may be run again after its end. `ports` are of authentication and accounting; where
    none are said, two that are free. In a namespace of its own any ports are."""

    def __init__(
        self,
        folder: Path | str,
        users: str = BOB,
        *,
        namespace: Namespace | None = None,
        ports: tuple[int, int] | None = None,
        secret: str = SECRET,
        signed: bool = True,
        address: str = "127.0.0.1",
    ) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(exist_ok=True)
        self.address = address
        self.secret = secret
        self.auth_port, self.acct_port = ports or (free_port(), free_port())
        # Not a comment alone: an empty `update` section is refused.
        values = {"secret": secret, "signature": SIGNED if signed else "Filter-Id := unsigned"}
        text = _CONFIG.format(
            folder=self.folder, auth_port=self.auth_port, acct_port=self.acct_port, address=address, **values
        )
        self._write("radiusd.conf", text)
        self._write("users", users)
        self._write("dictionary", "$INCLUDE /usr/share/freeradius/dictionary\n")
        argv = ["freeradius", "-f", "-l", "stdout", "-d", str(self.folder)]
        self._argv = namespace.argv(*argv) if namespace else argv
        self._process: Watched | None = None

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)

    def start(self) -> FreeRadius:
        """Until it answers."""
        self._process = Watched("freeradius", self._argv)
        self._process.output.wait_for("Ready to process requests")
        return self

    @property
    def log(self) -> str:
        """What it said."""
        assert self._process is not None
        return self._process.output.text

    def stop(self) -> None:
        """It is gone; `start` brings it back."""
        if self._process is not None:
            self._process.destroy()
            self._process = None

    def radiusclient(self, name: str = "radiusclient.conf", **lines: str | int) -> str:
        """A configuration of the C server's RADIUS client for this server, with other or more lines; its path."""
        (self.folder / "servers").write_text(f"# host secret\n{self.address}  {self.secret}\n")
        values: dict[str, str | int] = {
            "authserver": f"{self.address}:{self.auth_port}",
            "acctserver": f"{self.address}:{self.acct_port}",
            "servers": str(self.folder / "servers"),
            "dictionary": "/etc/radcli/dictionary",
            "default_realm": "",
            "radius_timeout": 5,
            "radius_retries": 1,
            "bindaddr": "*",
            **{key.replace("__", "-"): value for key, value in lines.items()},
        }
        path = self.folder / name
        path.write_text("# the client\n" + "".join(f"{key}\t{value}\n" for key, value in values.items()))
        return str(path)

    @property
    def records(self) -> list[Mapping[str, str]]:
        """What was accounted, in its order; of an attribute that comes twice the last."""
        path = self.folder / "detail"
        if not path.exists():
            return []
        blocks = path.read_text().split("\n\n")
        return [dict(re.findall(r'^\t(\S+) = "?(.*?)"?$', block, re.MULTILINE)) for block in blocks if block.strip()]


def free_port() -> int:
    """A UDP port of loopback that nobody has at the moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def missing() -> str:
    """Why it cannot be run here, or ""."""
    return "" if os.path.exists("/usr/sbin/freeradius") else "needs freeradius"

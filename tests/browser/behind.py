"""nginx in front of a metrics process, as people put it below a path of a site that has others."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.child_processes import answers, child
from tests.upstream.server import unused_port
from tests.waiting import wait_until

_START_LIMIT_S: Final = 30.0
# Nothing but the locations is there: what the page asks for elsewhere is an error in its console.
_CONFIGURATION: Final = """\
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log; {user}
events {{ }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    absolute_redirect off;
    location = /up {{ return 200; }}
    {locations}
    location / {{ return 404; }}
  }}
}}
"""


def _nginx() -> str:
    """Debian has it in /usr/sbin, which is not on everybody's PATH."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise FileNotFoundError(
            "the tests of the dashboard behind a reverse proxy need nginx: sh tools/install-nginx.sh"
        )
    return found


@contextlib.contextmanager
def behind_nginx(folder: Path, locations: str) -> Iterator[str]:
    """The address of its root, which answers 404 but for ``locations``."""
    user = "user root;" if os.geteuid() == 0 else ""
    port, log = unused_port(), folder / "nginx.log"
    text = _CONFIGURATION.format(folder=folder, port=port, locations=locations, user=user)
    (folder / "nginx.conf").write_text(text)
    command = [_nginx(), "-e", str(folder / "error.log"), "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with child(command, log) as process:
        wait_until(
            lambda: answers(f"127.0.0.1:{port}", "/up"), "nginx answers", _START_LIMIT_S, process=process, log=log
        )
        yield f"http://127.0.0.1:{port}"

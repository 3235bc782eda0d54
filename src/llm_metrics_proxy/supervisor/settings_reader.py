"""The process that reads the settings again, because this one holds no library for it."""

import os
import subprocess
import time
from typing import Final

import msgspec

from llm_metrics_proxy import descriptors
from llm_metrics_proxy.supervisor.launch_plan import Reload, ReloadAnswer, ReloadRequest

READING_LIMIT_S: Final = 30.0  # half a second on a machine that is not overloaded


class SettingsReader:
    """One reading of the settings, from start to answer. In files, because a pipe can be full."""

    def __init__(self, reload: Reload, options: dict[str, str]) -> None:
        """Raises ``OSError`` if the system cannot start a process."""
        request = ReloadRequest(
            start_json=reload.start_json, options={name: options[name] for name in reload.children if name in options}
        )
        self._answer = os.fdopen(descriptors.nameless_file(), "r+b")
        self.kill_at_s = time.monotonic() + READING_LIMIT_S
        try:
            with os.fdopen(descriptors.nameless_file(), "r+b") as asked:
                asked.write(msgspec.json.encode(request))
                asked.seek(0)
                self.process = subprocess.Popen(reload.argv, stdin=asked, stdout=self._answer, start_new_session=True)
        except OSError:
            self._answer.close()
            raise

    def answer(self) -> ReloadAnswer | None:
        """What it said, once it has ended; ``None`` if it failed."""
        with self._answer as file:
            file.seek(0)
            try:
                return msgspec.json.decode(file.read(), type=ReloadAnswer)
            except msgspec.MsgspecError:
                return None

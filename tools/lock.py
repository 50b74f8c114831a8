"""Writes the hashed locks: ``dev`` first, each service's constrained by it: one version of everything.

The locks carry no address of any index; tests/unit/tools asserts it. Runs in the virtual environment (``make lock``).
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SERVICES = ("gateway", "provisioner", "watcher", "audit")
OURS = ("postern-common", "postern-devcluster", *(f"postern-{service}" for service in SERVICES))


def compile_lock(output: str, *inputs: str) -> None:
    """Resolve ``inputs`` for every platform into ``requirements/<output>.txt``."""
    command = [
        *(str(Path(sys.executable).parent / "uv"), "pip", "compile", "--quiet", "--universal", "--generate-hashes"),
        *("--python-version", "3.11", "--no-emit-index-url", "--no-emit-find-links", "--no-annotate"),
        *("--custom-compile-command", "make lock"),
        *(("--upgrade",) if "--upgrade" in sys.argv else ()),
        *(argument for name in OURS for argument in ("--no-emit-package", name)),
        *inputs,
        *("-o", f"requirements/{output}.txt"),
    ]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "VIRTUAL_ENV": str(ROOT / ".venv")}, check=True)
    print(f"  wrote requirements/{output}.txt", flush=True)


def main() -> None:
    """Write every lock."""
    projects = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("*/*/pyproject.toml"))
    compile_lock("uv", "requirements/uv.in")
    compile_lock("dev", "requirements/dev.in", *projects, "--all-extras")
    for service in SERVICES:
        compile_lock(service, f"services/{service}/pyproject.toml", "--constraints", "requirements/dev.txt")


if __name__ == "__main__":
    main()

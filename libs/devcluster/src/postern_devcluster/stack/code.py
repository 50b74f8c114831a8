"""Whether a process runs the code that is on disk: after a pull or an edit ``up`` starts it anew.

Separate because it is the only place that looks at source files.
"""

import hashlib
import importlib.util
from pathlib import Path

COMMON = "postern_common"
_NOT_CODE = {".pyc", ".md"}


def code_fingerprint(package: str) -> str:
    """Return a value that changes with any file of ``package`` or of the common library (by path, size and time)."""
    digest = hashlib.sha256()
    for root in sorted({*_roots(package), *_roots(COMMON)}):
        for path in sorted(root.rglob("*")):
            if path.is_file() and path.suffix not in _NOT_CODE:
                found = path.stat()
                digest.update(f"{path}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _roots(package: str) -> list[Path]:
    """Return the package's directories without importing it."""
    spec = importlib.util.find_spec(package)
    return [Path(place) for place in (spec.submodule_search_locations or ())] if spec is not None else []

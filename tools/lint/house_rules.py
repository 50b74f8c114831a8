"""House rules that no linter off the shelf knows (style: a remark made twice in review becomes a rule).

``house_rules.py`` looks at every file that git knows or would add and prints ``path:line: rule: why``; exit status 1
when it found something. Standard library only, so that it runs wherever Python does.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MARK = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
INDEX = re.compile(
    r"https?://[^\s\"']*(pypi|pythonhosted|/simple\b|registry\.npmjs|proxy\.golang|deb\.debian|archive\.ubuntu)[^\s\"']*",
    re.IGNORECASE,
)
TEXT = {
    ".cfg",
    ".css",
    ".html",
    ".in",
    ".ini",
    ".js",
    ".json",
    ".md",
    ".py",
    ".sh",
    ".sql",
    ".toml",
    ".txt",
    ".yaml",
    ".yml",
}
UNNAMED = {"utils", "util", "helpers", "helper", "manager", "managers", "core", "misc", "common_utils"}
OWN_TEXTS = {Path("tools/lint/house_rules.py"), Path("tests/unit/tools/test_house_rules.py")}
"""They must spell what is forbidden."""


@dataclass(frozen=True, order=True)
class Finding:
    """One broken rule."""

    path: Path
    line: int
    rule: str
    why: str

    @property
    def text(self) -> str:
        """As a compiler would say it."""
        return f"{self.path}:{self.line}: {self.rule}: {self.why}"


def look_at(path: Path, text: str) -> Iterator[Finding]:
    """Yield the findings of one file; ``path`` is relative to the root."""
    yield from _text_findings(path, text)
    if path.suffix == ".py":
        yield from _name_findings(path)
        if path.parts[0] in {"libs", "services"}:
            yield from _call_findings(path, ast.parse(text))


def _text_findings(path: Path, text: str) -> Iterator[Finding]:
    if path in OWN_TEXTS:
        return
    for number, line in enumerate(text.splitlines(), start=1):
        if MARK.search(line):
            yield Finding(path, number, "no-todo", "do it now, or open an issue and say nothing here")
        if INDEX.search(line):
            yield Finding(path, number, "no-index-address", "where packages come from is the machine's setting")


def _name_findings(path: Path) -> Iterator[Finding]:
    for part in (*path.parts[:-1], path.stem):
        if part in UNNAMED:
            yield Finding(path, 1, "say-what-is-in-it", f"'{part}' names no content: say what it owns")


def _call_findings(path: Path, tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if node.func.attr == "process":
            why = "message.process() settles a cancelled handler's message as failed: use messaging.Consumer"
            yield Finding(path, node.lineno, "no-process", why)
        if node.func.attr == "commit" and _last_name(node.func.value).endswith("session"):
            yield Finding(path, node.lineno, "no-session-commit", "the unit of work commits, at the boundary, once")


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def our_files() -> list[Path]:
    """Return what git knows or would add, relative to the root."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    paths = [Path(name) for name in listed.split("\0") if name]
    named = {"Makefile", "Dockerfile"}
    return [p for p in paths if (p.suffix in TEXT or p.name in named) and (ROOT / p).is_file()]


def main() -> int:
    """Print the findings; return the exit status."""
    paths = our_files()
    findings = sorted(finding for path in paths for finding in look_at(path, (ROOT / path).read_text(errors="replace")))
    for finding in findings:
        print(finding.text)
    print(f"house rules: {len(paths)} files, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())

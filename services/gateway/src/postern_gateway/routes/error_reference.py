"""``docs/api/errors.md``: every problem code with what a client can do about it, rendered from the list in the
domain.
"""

from postern_gateway.domain.problems import PROBLEMS, VIOLATIONS

_HEAD = """# Errors

Every error is a problem document (RFC 9457, `application/problem+json`): `type` (a URL that ends in the code), `title`,
`status`, `detail`, `code`, `request_id`, and for a 422 `errors: [{pointer, code, detail}]`, where `pointer` is a JSON
pointer into the body or the name of a parameter. Branch on `code`: codes are stable, words are not.

This page is made from `postern_gateway.domain.problems` by `postern-gateway errors`.

## Problems

| code | status | meaning | what to do |
|---|---|---|---|
"""
_FAULTS = """
## Faults in `errors`

| code | meaning |
|---|---|
"""


def render_errors() -> str:
    """The page as Markdown."""
    problems = "".join(
        f"| `{code}` | {problem.status} | {problem.title} | {problem.advice} |\n"
        for code, problem in sorted(PROBLEMS.items(), key=lambda item: (item[1].status, item[0]))
    )
    faults = "".join(f"| `{code}` | {text} |\n" for code, text in sorted(VIOLATIONS.items()))
    return f"{_HEAD}{problems}{_FAULTS}{faults}"

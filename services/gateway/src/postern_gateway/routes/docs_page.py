"""``/docs``: the reference as one page, rendered here from the document. No script, nothing loaded from elsewhere."""

import html
import json
from typing import Any, Final

_STYLE: Final = """
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:60rem;padding:1rem;color:#1c2430;background:#fff}
h1{margin:.5rem 0}h2{margin:2.5rem 0 .5rem;border-bottom:1px solid #d5dbe3}code,pre{font:13px/1.45
ui-monospace,monospace}
pre{background:#f4f6f9;padding:.75rem;overflow:auto;border-radius:4px}details{border:1px solid
#d5dbe3;border-radius:4px;
margin:.5rem 0;padding:.4rem
.8rem}summary{cursor:pointer}table{border-collapse:collapse;width:100%}td,th{text-align:left;
padding:.2rem .6rem .2rem 0;vertical-align:top;border-bottom:1px solid #edf0f4}.m{display:inline-block;min-width:4.5rem;
font-weight:700}nav a{margin-right:1rem}@media(prefers-color-scheme:dark){body{background:#12161c;color:#dce3ec}
pre{background:#1b212a}details,h2,td,th{border-color:#2c3542}a{color:#8ab4f8}}
"""


def render_page(document: dict[str, Any]) -> str:
    """The page as HTML."""
    tags = [tag["name"] for tag in document["tags"]]
    sections = "".join(_section(document, tag) for tag in document["tags"])
    links = "".join(f'<a href="#{tag}">{tag}</a>' for tag in tags)
    info = document["info"]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{_text(info['title'])} API</title><style>{_STYLE}</style></head><body>"
        f"<h1>{_text(info['title'])} API {_text(info['version'])}</h1><p>{_text(info['description'])}</p>"
        "<p>Send <code>Authorization: Bearer &lt;key&gt;</code>. Machine-readable: "
        '<a href="openapi.json">openapi.json</a>.</p>'
        f'<nav>{links}<a href="#schemas">schemas</a></nav>{sections}'
        f'<h2 id="schemas">schemas</h2>{_schemas(document)}</body></html>'
    )


def _section(document: dict[str, Any], tag: dict[str, Any]) -> str:
    entries = [
        _entry(method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if tag["name"] in operation["tags"]
    ]
    return f'<h2 id="{tag["name"]}">{tag["name"]}</h2><p>{_text(tag["description"])}</p>{"".join(entries)}'


def _entry(method: str, path: str, operation: dict[str, Any]) -> str:
    opening = (
        f'<details id="{operation["operationId"]}"><summary><span class="m">{method.upper()}</span>'
        f"<code>{_text(path)}</code> — {_text(operation['summary'])}</summary>"
    )
    parts = [
        opening,
        f"<p>{_text(operation.get('description', ''))}</p>",
        _parameters(operation["parameters"]),
    ]
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(f"<h4>Body, {_text(media)}: {_schema_link(content['schema'])}</h4>{_json(content['example'])}")
    for status, reply in operation["responses"].items():
        parts.append(_reply(status, reply))
    return "".join(parts) + "</details>"


def _reply(status: str, reply: dict[str, Any]) -> str:
    lines = f"<p><b>{status}</b> {_text(reply['description'])}"
    for media, content in reply.get("content", {}).items():
        if media == "application/json":
            lines += f" {_schema_link(content['schema'])}"
            if "example" in content:
                lines += _json(content["example"])
    return lines + "</p>"


def _parameters(parameters: list[dict[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td><code>{_text(p['name'])}</code></td><td>{p['in']}</td><td>{_text(p.get('description', ''))}</td></tr>"
        for p in parameters
    )
    return f"<table>{rows}</table>" if rows else ""


def _schemas(document: dict[str, Any]) -> str:
    return "".join(
        f'<details id="schema-{name}"><summary><code>{name}</code></summary>{_json(schema)}</details>'
        for name, schema in document["components"]["schemas"].items()
    )


def _schema_link(schema: dict[str, Any]) -> str:
    names = [part["$ref"] for part in (schema, *schema.get("anyOf", ())) if "$ref" in part]
    found = [reference.rpartition("/")[2] for reference in names]
    return " or ".join(f'<a href="#schema-{name}">{name}</a>' for name in found)


def _json(value: Any) -> str:
    return f"<pre>{_text(json.dumps(value, indent=2, ensure_ascii=False))}</pre>"


def _text(value: str) -> str:
    return html.escape(value, quote=True)

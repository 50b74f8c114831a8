"""Server-side apply: field paths, typed merge, ownership."""

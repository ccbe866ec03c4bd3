"""The page: its HTML, and its files under addresses that change with their content.

`GET /` names all files of the page under `/static/v-HASH/`, where HASH is a digest of all files together.
Browsers keep what they loaded from there for a year without asking again; modules import one another by
relative addresses and stay under the same prefix. `/static/` without a version serves the same files for
other sites, which embed the call button; browsers ask there whether a file has changed.
"""

import hashlib
import re
from functools import lru_cache
from pathlib import Path

from aiohttp import web

from softswitch.settings import static_root

FOREVER = "public, max-age=31536000, immutable"
"""One year, the longest time that caches honour."""
ASK_AGAIN = "no-cache"

_REFERENCE = re.compile(r'((?:href|src)=")static/(?!embed\.html|docs/)')
_VERSION = re.compile(r"v-[0-9a-f]{16}")


async def index(request: web.Request) -> web.Response:
    """Serve ``GET /``: the page, with versioned addresses of its files."""
    root = static_root()
    text = _page(root, version(root))
    return web.Response(text=text, content_type="text/html", headers={"Cache-Control": ASK_AGAIN})


async def versioned(request: web.Request) -> web.FileResponse:
    """Serve ``GET /static/{version}/{path}``.

    An old version gets the present file, which caches may not keep under that address.
    """
    root = static_root()
    wanted, path = request.match_info["version"], request.match_info["path"]
    file = (root / path).resolve()
    if not _VERSION.fullmatch(wanted) or not file.is_relative_to(root.resolve()) or not file.is_file():
        raise web.HTTPNotFound(text="there is no such file of the page")
    keep = FOREVER if wanted == version(root) else ASK_AGAIN
    return web.FileResponse(file, headers={"Cache-Control": keep})


async def revalidate(request: web.Request, response: web.StreamResponse) -> None:
    """Let browsers ask whether a file of the page has changed (an ``on_response_prepare`` signal)."""
    if request.path.startswith("/static/"):
        response.headers.setdefault("Cache-Control", ASK_AGAIN)


def version(root: Path) -> str:
    """Return the name of the present content of all files, ``v-`` and 16 hexadecimal digits.

    The files are read again only when the size or the time of one has changed.
    """
    stamps = ((path, path.stat()) for path in sorted(root.rglob("*")) if path.is_file())
    return _digest(root, tuple((str(path), stat.st_size, stat.st_mtime_ns) for path, stat in stamps))


@lru_cache(maxsize=2)
def _digest(root: Path, files: tuple[tuple[str, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for name, size, _ in files:
        digest.update(f"{Path(name).relative_to(root)}\0{size}\0".encode())
        digest.update(Path(name).read_bytes())
    return f"v-{digest.hexdigest()[:16]}"


@lru_cache(maxsize=2)
def _page(root: Path, version: str) -> str:
    text = (root / "index.html").read_text("utf-8")
    return _REFERENCE.sub(rf"\g<1>static/{version}/", text)

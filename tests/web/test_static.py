"""The page's files: addresses that change with their content, long caching, and preloaded modules."""

import re
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from softswitch.web import static

STATIC = Path(__file__).parents[2] / "static"
IMPORT = re.compile(r'^import [^;]*?from "(\.[^"]+)";|^import "(\.[^"]+)";', re.MULTILINE)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small page of its own."""
    (tmp_path / "js").mkdir()
    (tmp_path / "js" / "app.js").write_text("export {};")
    (tmp_path / "index.html").write_text(
        '<script type="module" src="static/js/app.js"></script><a href="static/embed.html">x</a>'
    )
    monkeypatch.setattr(static, "static_root", lambda: tmp_path)
    return tmp_path


@pytest.fixture
async def client(aiohttp_client: AiohttpClient, root: Path) -> TestClient:
    app = web.Application()
    app.on_response_prepare.append(static.revalidate)
    app.router.add_get("/", static.index)
    app.router.add_get("/static/{version:v-[0-9a-f]+}/{path:.+}", static.versioned)
    return await aiohttp_client(app)


async def test_the_page_names_versioned_files_that_are_kept_for_good(client: TestClient) -> None:
    page = await client.get("/")
    text = await page.text()
    assert page.headers["Cache-Control"] == "no-cache"
    assert 'href="static/embed.html"' in text
    (script,) = re.findall(r'src="(static/v-[0-9a-f]{16}/js/app\.js)"', text)
    file = await client.get(f"/{script}")
    assert await file.text() == "export {};"
    assert file.content_type in {"text/javascript", "application/javascript"}
    assert file.headers["Cache-Control"] == "public, max-age=31536000, immutable"


async def test_a_changed_file_has_a_new_address_and_the_old_one_is_not_kept(
    client: TestClient, root: Path
) -> None:
    old = static.version(root)
    (root / "js" / "app.js").write_text("export const changed = true;")
    assert static.version(root) != old
    assert f"static/{old}/" not in await (await client.get("/")).text()
    file = await client.get(f"/static/{old}/js/app.js")
    assert "changed" in await file.text()
    assert file.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    "path", ["v-0/js/app.js", "VERSION/js/none.js", "VERSION/%2e%2e/secret", "VERSION/js"]
)
async def test_only_files_of_the_page_are_served(client: TestClient, root: Path, path: str) -> None:
    (root.parent / "secret").write_text("secret")
    answer = await client.get(f"/static/{path.replace('VERSION', static.version(root))}")
    assert answer.status == 404


def test_every_module_of_the_page_is_preloaded() -> None:
    """A chain of imports would cost a round trip for each of its links."""
    found: set[Path] = set()

    def follow(file: Path) -> None:
        if file not in found:
            found.add(file)
            for names in IMPORT.findall(file.read_text("utf-8")):
                follow((file.parent / (names[0] or names[1])).resolve())

    follow(STATIC / "js" / "app.js")
    page = (STATIC / "index.html").read_text("utf-8")
    preloaded = set(re.findall(r'rel="modulepreload" href="static/([^"]+)"', page))
    assert preloaded == {file.relative_to(STATIC).as_posix() for file in found} - {"js/app.js"}


@pytest.mark.parametrize("path", ["/static/" + "x" * 300, "/static/v-0/" + "x" * 300, "/static/%00"])
async def test_names_that_no_file_can_have_are_not_found(client: TestClient, path: str) -> None:
    async with client.get(path) as answer:
        assert answer.status in (400, 404), await answer.text()

#!/usr/bin/env python3
"""Pictures of every explorer at 1280 x 800, in light and dark, from a real JupyterLab; to be looked at.

    .venv/bin/python tools/screenshots.py                     all notebooks in nbs/widgets, into screenshots/
    .venv/bin/python tools/screenshots.py attention --keep    one of them; and its picture for README and docs into
    nbs/images/ .venv/bin/python tools/screenshots.py noise run --run runs/demo --keep      of a run, as `make demo`
    leaves it, instead of the samples

Each explorer is scrolled to the top of the window, and each of its tabs is opened; a run that trains is waited for.
Needs Chromium (AVNB_BROWSER=install fetches it).
"""

import argparse
import io
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'tests'))
from lab import find_chromium, new_page, server, start_chromium

WIDE = '(() => { const a = window.jupyterapp; a.shell.collapseLeft(); a.shell.collapseRight(); })()'


def settle(page):
    "Until every player has drawn something, every picture is there, and every run is done and evaluated."
    page.wait_for_function(
        """() => [...document.querySelectorAll(".avnb")].every(e => e.dataset.ready || !e.avnb?.scene?.panels)
        && [...document.querySelectorAll(".avnb-picker")].every(e => e.querySelector("img")) && [...document.images].every(i => i.complete)
        && [...document.querySelectorAll("table[data-kind=runs] tbody tr")].every(r => r.cells[1].textContent === "done")
        && [...document.querySelectorAll(".avnb-scores")].every(e => e.querySelector("table"))""",
        timeout=300_000,
    )
    page.wait_for_timeout(500)  # the browser paints


def views(page, explorer):
    "(name of a tab or '', what to look at) one after the other; each tab is open while it is looked at."
    tabs = explorer.locator('.lm-TabBar-tab').all()
    for t in tabs:
        t.click()
        settle(page)
        yield '-' + t.inner_text().strip().split()[0].lower()
    if tabs:
        tabs[0].click()
    else:
        yield ''


def point_somewhere(page):
    "The moment at which the map is hottest, with the mouse there, so that the picture shows what the explorer is for."
    for root in page.locator('.avnb').all():
        if not root.evaluate('e => e.avnb?.scene?.frames > 8 && !!e.avnb.panels'):
            continue
        root.evaluate("""e => { const v = e.avnb, p = v.panels[v.panels.length - 1], m = p.video[v.layerName('picture')]; v.seek(0.6 * v.scene.seconds); if (!m) return;
            let k = 0; m.x.forEach((x, i) => { if (x > m.x[k]) k = i }); const [n, h, w] = m.shape, c = k % m.cells; v.seek((Math.floor(k / m.cells) + 0.5) / n * v.scene.seconds);
            v.point(v.target('picture', 0, (c % w + 0.5) / w, (Math.floor(c / w) + 0.5) / h)) }""")
    page.wait_for_timeout(300)


def whole(page, explorer, path):
    "An explorer from top to bottom, in a window that is high enough."
    page.set_viewport_size(dict(width=1280, height=max(800, round(explorer.bounding_box()['height']) + 200)))
    explorer.evaluate('e => e.scrollIntoView({block: "start"})')
    page.wait_for_timeout(300)
    explorer.screenshot(path=path)
    page.set_viewport_size(dict(width=1280, height=800))


def small(png, path, width=1000):
    "A picture that a README can carry."
    from PIL import Image

    x = Image.open(io.BytesIO(png)).convert('RGB')
    x = x.resize((width, round(x.height * width / x.width)), Image.Resampling.LANCZOS)
    path.parent.mkdir(parents=True, exist_ok=True)
    x.save(path, quality=88, subsampling=0, optimize=True)
    return path


def main():
    "Take the pictures."
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument('names', nargs='*', help='notebooks of nbs/widgets (default: all)')
    a.add_argument('--out', type=Path, default=Path('screenshots'))
    a.add_argument('--run', type=Path, help='folder of a run that the notebooks look at')
    a.add_argument('--keep', action='store_true', help='also write nbs/images/NAME_explorer.jpg')
    a = a.parse_args()
    if find_chromium() is None:
        raise SystemExit('no Chromium: apt-get install chromium, or set AVNB_BROWSER=install')
    from playwright.sync_api import sync_playwright

    look_at = (lambda s: re.sub(r'^(RUNS?) = .*$', rf'\1 = {str(a.run.resolve())!r}', s, flags=re.M)) if a.run else str
    lab = server()
    a.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as p:
        browser = start_chromium(p)
        with browser.new_context(viewport=dict(width=1280, height=800)) as context:
            for path in [ROOT / 'nbs' / 'widgets' / f'{n}.ipynb' for n in a.names] or sorted(
                (ROOT / 'nbs' / 'widgets').glob('*.ipynb')
            ):
                page = new_page(context)
                lab.open(page, path.relative_to(ROOT).as_posix(), change=look_at)
                page.evaluate(WIDE)
                lab.run_all(page)
                for theme in ('light', 'dark'):
                    lab.theme(page, f'JupyterLab {theme.title()}')
                    settle(page)
                    point_somewhere(page)
                    for k, e in enumerate(
                        page.locator('.jp-OutputArea-output .widget-vbox:not(.widget-vbox .widget-vbox)').all()
                    ):
                        if (e.bounding_box() or {}).get('height', 0) < 200:
                            continue
                        for i, view in enumerate(views(page, e)):
                            name = f'{path.stem}-{k + 1}{view}-{theme}'
                            e.evaluate('e => e.scrollIntoView({block: "start"})')
                            page.mouse.move(2, 2)
                            page.wait_for_timeout(400)
                            page.screenshot(path=a.out / f'{name}.png')
                            whole(page, e, a.out / f'{name}-whole.png')
                            print(a.out / f'{name}.png', flush=True)
                            if a.keep and theme == 'light' and k == i == 0:
                                print(
                                    small(
                                        (e.locator('.avnb') if e.locator('.avnb').count() else e).first.screenshot(),
                                        ROOT / 'nbs' / 'images' / f'{path.stem}_explorer.jpg',
                                    )
                                )
                if page.errors:
                    print('errors:', *page.errors, sep='\n')
                page.close()
        browser.close()


if __name__ == '__main__':
    main()

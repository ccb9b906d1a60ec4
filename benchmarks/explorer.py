"""How fast the attention explorer is, measured in a browser against a real JupyterLab.

    python benchmarks/explorer.py
    AVNB_REAL_DATA=recordings python benchmarks/explorer.py      # and the first 10 s of two recordings (clips/)

A 10 s clip (generated, 30 frames a second, 288 pixels) and the tiny network that ships. Each figure has a limit that
the explorer is meant to keep; the table says whether it does, and a broken limit is this command's exit status. Writes
results/explorer.csv. About a minute a clip."""

import csv
import os
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'tests'))
ONE = [
    'import numpy as np\nfrom avnb.attention_explorer import AttentionExplorer\n'
    'from avnb.player import Player, make_panel, make_scene, read_window'
]
WEIGH = (
    'def weigh(x): return len(x) if isinstance(x, bytes) else sum(map(weigh, x.values() if isinstance(x, dict) '
    'else x)) if isinstance(x, (dict, list)) else 0'
)


def ten_seconds(path, size=288, seconds=10, fps=30):
    "A clip with something that moves and sounds."
    from avnb.media import write_clip

    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size]
    ground = rng.integers(40, 90, (size // 8, size // 8, 3)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
    t = np.arange(seconds * 16000) / 16000
    wave = (0.4 * np.sin(2 * np.pi * (300 + 200 * np.sin(t)) * t) * (np.sin(2 * np.pi * 2 * t) > 0)).astype(np.float32)
    frames = np.repeat(ground[None], seconds * fps, 0)
    for k, f in enumerate(frames):
        a = 2 * np.pi * k / 90
        f[np.hypot(x - size / 2 - 80 * np.cos(a), y - size / 2 - 80 * np.sin(a)) < 36] = (230, 120, 40)
    return write_clip(path, frames, wave, fps)


def recordings() -> dict:
    """Recordings of at least 10 s, where there are some: the one with the largest frames of all, and of those up to 854
    x 480."""
    from avnb.media import probe

    where = os.environ.get('AVNB_REAL_DATA')
    files = sorted(Path(where, 'clips').resolve().glob('*.mp4')) if where else []
    known = {f: probe(f) for f in files}
    long = {f: a for f, a in known.items() if a['duration_s'] >= 10 and a['audio_codec'] and a['video_codec']}
    pixels = lambda f: long[f]['width'] * long[f]['height']
    light = [f for f in long if pixels(f) <= 854 * 480]
    some = {max(fs, key=lambda f: (pixels(f), long[f]['fps'] or 0)) for fs in (light, long) if fs}
    return {
        f'recording, the first 10 s, {long[f]["width"]} x {long[f]["height"]}, {long[f]["video_codec"]}, '
        f'{long[f]["fps"]:.0f} fps': f
        for f in sorted(some, key=pixels)
    }


def first_picture(lab, page, clip):
    """Seconds from running the cell to a picture with its map; a second time with media that are kept; bytes sent;
    growth of the notebook's file."""
    path = lab.open(
        page,
        'first.ipynb',
        [
            *ONE,
            WEIGH,
            f'import time; print(time.time()); e = AttentionExplorer(None, {str(clip)!r}); e',
            'e.player.scene and print("BYTES", weigh(e.player.scene))',
            f'print(time.time()); f = AttentionExplorer(None, {str(clip)!r}); f',
        ],
    )
    before = path.stat().st_size
    lab.run_all(page)
    page.wait_for_function('document.querySelectorAll(".avnb[data-ready]").length === 2')
    text = page.locator('.jp-OutputArea-output pre').all_inner_texts()
    start = [float(t) for t in text if t.strip().replace('.', '').isdigit()]
    sent = next(int(t.split()[1]) for t in text if t.startswith('BYTES'))
    ends = page.evaluate('[...document.querySelectorAll(".avnb")].map(e => +e.dataset.ready / 1000)')
    return dict(
        first_picture_s=ends[0] - start[0],
        first_picture_again_s=ends[1] - start[1],
        sent_mb=sent / 1e6,
        notebook_growth_kb=(lab.save(page) - before) / 1e3,
    )


MOVES = """c => { const v = c.closest('.avnb').avnb, p = v.panels[0], r = c.getBoundingClientRect(), times = [], seen = new Set();
    const done = () => { for (const k of ['picture', 'sound']) p.canvas[k].getContext('2d').getImageData(0, 0, 1, 1) };           // waits until the pixels are there
    for (let k = 0; k < 300; k++) {
        const e = new PointerEvent('pointermove', { clientX: r.left + r.width * (0.1 + 0.7 * (k * 0.618 % 1)), clientY: r.top + r.height * (0.1 + 0.8 * (k * 0.755 % 1)) });
        done(); const t = performance.now(); c.dispatchEvent(e); done(); times.push(performance.now() - t); seen.add(v.asked) }
    if (seen.size < 100) throw new Error('the pointer missed the map'); return times }"""


def hover(lab, page, clip):
    """Milliseconds from a pointer's move until the pixels are redrawn, at 14 x 14 x 16 maps, 300 moves over the picture
    and 300 over the spectrogram; the canvas is 512 px."""
    from lab import attribute

    lab.open(
        page,
        'hover.ipynb',
        [
            *ONE,
            f"""clip = read_window({str(clip)!r}); rng = np.random.default_rng(0)
unit = lambda *s: (lambda x: x / np.linalg.norm(x, axis=-1, keepdims=True))(rng.normal(size=s))
maps = rng.random((16, 14, 14)); p = Player(make_scene(clip, [make_panel('', dict(alone=maps, guided=maps[::-1]), dict(guided=rng.random((16, 16))), (unit(16, 14, 14, 128), unit(80, 16, 128)))])); p""",
        ],
    )
    lab.run_all(page)
    attribute(page, '.avnb', 'data-ready')
    root = page.locator('.avnb').first
    root.scroll_into_view_if_needed()
    root.evaluate(
        'e => { const v = e.avnb; for (const p of v.panels) { p.canvas.picture.closest(".avnb-left").style.width = '
        '"512px"; v.size(p.canvas.picture, 512, 512); p.canvas.picture.scrollIntoView({block: "nearest"}) } v.draw() }'
    )
    times = []
    for kind in ('picture', 'sound'):
        times += page.locator(f'.avnb-{kind}').first.evaluate(MOVES)
    return dict(hover_p95_ms=float(np.quantile(times, 0.95)), hover_median_ms=float(np.median(times)))


def playing(page):
    """Different frames drawn per second at 512 px while 10 s play; for every refresh of the screen, how far the sound's
    clock then lies outside the frame shown, in video frames."""
    root = page.locator('.avnb').first
    page.mouse.move(2, 2)
    root.evaluate('e => { e.avnb.set("loop", false); e.avnb.seek(0); e.avnb.play() }')
    page.wait_for_function('document.querySelector(".avnb").avnb.sound.ended', timeout=60_000)
    return root.evaluate("""e => { const v = e.avnb, s = v.stats, off = s.off.map(d => Math.max(0, Math.abs(d) - 0.5)).sort((a, b) => a - b);
        return { drawn_share: s.frames.size / v.scene.frames, drawn_fps: s.frames.size / v.scene.seconds, drift_worst_frames: off[off.length - 1], drift_p95_frames: off[Math.floor(0.95 * off.length)], refreshes: off.length } }""")


RECORDED = dict(
    first_picture_s=('<', 3)
)  # reading ten seconds of a recording takes about a second on two cores, whatever is drawn
GENERATED = 'generated, 10 s, 288 px, 30 fps'
LIMITS = dict(
    first_picture_s=('<', 2),
    hover_p95_ms=('<', 16),
    drawn_share=('>', 0.98),
    drift_worst_frames=('<', 1),
    sent_mb=('<', 3),
    notebook_growth_kb=('<', 100),
)


def main():
    "Measure, print, write."
    from lab import find_chromium, new_page, server, start_chromium
    from playwright.sync_api import sync_playwright

    if find_chromium() is None:
        raise SystemExit('no Chromium: apt-get install chromium, or set AVNB_BROWSER=install')
    lab = server()
    clips, rows, broken = {GENERATED: ten_seconds(lab.folder / 'ten.mp4')} | recordings(), [], []
    with sync_playwright() as p:
        browser = start_chromium(p)
        for name, clip in clips.items():
            with browser.new_context(viewport=dict(width=1400, height=900)) as context:
                page = new_page(context)
                results = first_picture(lab, page, clip) | hover(lab, page, clip) | playing(page)
            print(name)
            limits = LIMITS if name == GENERATED else LIMITS | RECORDED
            for k, v in results.items():
                rule = limits.get(k)
                kept = rule is None or (v < rule[1] if rule[0] == '<' else v > rule[1])
                print(
                    f'  {k:24} {v:9.3f}   {" ".join(map(str, rule)) if rule else "":8} '
                    f'{"" if rule is None else "kept" if kept else "NOT KEPT"}'
                )
                rows.append([name, 'tiny', 0, k, f'{v:.4f}', 1])
                if not kept:
                    broken.append(f'{k} {v:.3f} of {name}')
        browser.close()
    HERE.joinpath('results').mkdir(exist_ok=True)
    with open(HERE / 'results' / 'explorer.csv', 'w', newline='') as f:
        w = csv.writer(f)
        w.writerow('clip method seed metric value n'.split())
        w.writerows(rows)
    if broken:
        raise SystemExit('not kept: ' + '; '.join(broken))


if __name__ == '__main__':
    main()

"NoiseExplorer: its numbers against slow ones, its messages, and a walk through it in a real browser."

import math
import os
import time
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from lab import attribute, browser, lab, page  # noqa: F401 (fixtures)

from avnb import noise_explorer, player
from avnb.core import TrainConfig
from avnb.manifest import Manifest
from avnb.memory import MemoryBank
from avnb.nce import ESTIMATORS, positive_weights

ROOT = Path(__file__).resolve().parents[1]
HOSTILE = '"><img src=x onerror="window.hit=1"><script>window.hit=1</script>$x^{ & \''


def fake_run(n=40, dim=8, seed=0, table=None, written=None):
    "A run with a random bank; two windows of each file."
    g = torch.Generator().manual_seed(seed)
    bank = MemoryBank(n, dim, seed=seed)
    v = torch.randn(n, dim, generator=g)
    a = v + torch.randn(n, dim, generator=g) * torch.rand(n, 1, generator=g) * 3
    bank.video.copy_(F.normalize(v, dim=1))
    bank.audio.copy_(F.normalize(a, dim=1))
    bank.written[:] = True if written is None else torch.tensor(written)
    t = dict(
        id=[f'c{i}' for i in range(n)],
        path=[f'f{i // 2}.mp4' for i in range(n)],
        start_s=0.0,
        seconds=2.0,
        label=[f'k{i % 3}' for i in range(n)],
        faulty_kind=['wrong_track' if i % 4 == 0 else 'none' for i in range(n)],
    )
    return types.SimpleNamespace(
        bank=bank,
        cfg=TrainConfig(),
        manifest=Manifest(Path('.'), pd.DataFrame(t | (table or {}))),
        folder=Path('some-run'),
    )


# -- numbers -----------------------------------------------------------------------------------------------------------


def test_rows_leave_out_what_is_not_there_and_say_so():
    run = fake_run(written=[i % 5 > 0 for i in range(40)])
    run.bank.video[7] = math.nan
    rows = noise_explorer.bank_rows(run)
    assert (
        len(rows) == 31
        and 7 not in rows.rows
        and not (rows.rows % 5 == 0).any()
        and '8 clips have no row' in rows.note
        and '1 rows are not numbers' in rows.note
    )
    assert (
        np.allclose(rows.scores, run.bank.scores()[run.bank.scores().isfinite()].numpy(), atol=1e-6)
        and rows.column('id')[0] == 'c1'
    )


@pytest.mark.parametrize(
    'break_it,says',
    [(lambda b: b.written.zero_(), 'has been written yet'), (lambda b: b.audio.fill_(math.nan), 'is a number')],
)
def test_nothing_to_show_is_said_in_the_widget(break_it, says, monkeypatch):
    run = fake_run()
    break_it(run.bank)
    with pytest.raises(player.ExplorerError, match=says):
        noise_explorer.bank_rows(run)
    monkeypatch.setattr(noise_explorer.Network, 'open', lambda _: types.SimpleNamespace(run=run))
    e = noise_explorer.NoiseExplorer(run)
    assert (
        says in e.children[-1].value and 'train for at least one epoch' in e.children[-1].value and 'nothing' in repr(e)
    )


@pytest.mark.parametrize('floor', ['affine', 'clip'])
def test_weights_are_those_of_training(floor):
    run, g = fake_run(seed=1), np.random.default_rng(0)
    rows = noise_explorer.bank_rows(run)
    curve = dict(delta=float(g.normal()), kappa=float(g.uniform(0.05, 2)), w_min=float(g.uniform()), floor=floor)
    mean, var = run.bank.moments()
    assert np.allclose(
        noise_explorer._row_weights(rows, **curve),
        positive_weights(run.bank.scores(), **curve, mean=mean, var=var),
        atol=1e-5,
    )
    facts = noise_explorer._weight_facts(rows, noise_explorer._row_weights(rows, **curve))
    bad, s = rows.column('faulty_kind') != 'none', rows.scores
    slow = np.mean([(x < y) + 0.5 * (x == y) for x in s[bad] for y in s[~bad]])
    assert facts['low scores find faulty pairs (AUROC)'] == pytest.approx(slow)


@pytest.mark.parametrize('estimator', ESTIMATORS)
@pytest.mark.parametrize('asks', ['picture', 'sound'])
def test_shares_against_a_slow_loop(estimator, asks):
    rows, i, lam, ts, tt, tn = noise_explorer.bank_rows(fake_run(seed=2)), 5, 0.3, 0.2, 0.3, 0.4
    v, a = (x.double().numpy() for x in (rows.video, rows.audio))
    if asks == 'sound':
        v, a = a, v
    path, logits = rows.column('path'), np.full(len(v), -np.inf)
    for j in range(len(v)):
        if j != i and path[j] == path[i]:
            continue  # another window of the same file
        logits[j] = {
            'bootstrap': v[i] @ a[j] / ts,
            'swapped': a[i] @ v[j] / ts,
            'neighbor': v[i] @ v[j] / tn,
            'cycle': a[i] @ v[j] / ts + v[j] @ a[j] / tt,
        }[estimator]
    slow = lam * np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    slow[i] += 1 - lam
    share = noise_explorer.soft_shares(rows, i, estimator, lam, asks, tau_s=ts, tau_t=tt, tau_n=tn)
    assert np.allclose(share, slow, atol=1e-5) and share[4] == 0
    facts = noise_explorer.share_facts(rows, i, share)
    rest = np.delete(slow, i)
    p = rest / rest.sum()
    assert facts['clips that share the rest'] == pytest.approx(np.exp(-(p[p > 0] * np.log(p[p > 0])).sum()), rel=1e-3)
    assert facts['of the rest, on the same class'] == pytest.approx(
        p[np.delete(np.arange(40) % 3 == i % 3, i)].sum(), rel=1e-3
    )


def test_span_is_sorted_and_counted():
    rows, g = noise_explorer.bank_rows(fake_run(seed=3)), np.random.default_rng(1)
    for _ in range(20):
        lo, hi = np.sort(g.uniform(-1, 1, 2))
        inside = np.flatnonzero((rows.scores >= lo) & (rows.scores <= hi))
        worst, many = noise_explorer._rows_in_span(rows, lo, hi, most=5)
        best, _ = noise_explorer._rows_in_span(rows, lo, hi, 'best first', 5)
        some, _ = noise_explorer._rows_in_span(rows, lo, hi, 'at random', 5)
        assert many == len(inside) and set(worst) | set(best) | set(some) <= set(inside) and len(worst) == min(5, many)
        assert (
            list(rows.scores[worst]) == sorted(rows.scores[inside])[:5]
            and list(rows.scores[best]) == sorted(rows.scores[inside])[::-1][:5]
        )


@pytest.mark.parametrize('n', [1, 2, 3, 9, 40])
@pytest.mark.parametrize('how', ['PCA', 't-SNE'])
def test_planes_of_few_clips(n, how):
    at, xy = noise_explorer._project(noise_explorer.bank_rows(fake_run(n)), 'sound', how)
    assert (
        len(at) == len(xy) == n
        and xy.dtype == np.float32
        and np.isfinite(xy).all()
        and (xy >= 0).all()
        and (xy <= 1).all()
    )


def test_colours_for_many_kinds_and_for_equal_numbers():
    words = np.array([f'kind {i % 40}' for i in range(200)])
    p = noise_explorer._color_points(words, 'class')
    assert (
        len(p['legend']['entries']) == 24
        and p['legend']['entries'][-1]['label'] == '17 more'
        and len(p['rgb']) == 600
        and max(p['shape']) == 3
    )
    same = noise_explorer._color_points(np.full(5, 0.3), 'weight')
    assert same['legend']['lo'] == same['legend']['hi'] == '0.30'


# -- the board ---------------------------------------------------------------------------------------------------------


def test_board_answers_for_its_clips_only_and_says_what_is_wrong(tmp_path):
    (tmp_path / 'f0.mp4').write_bytes(b'not a video')
    run = fake_run(4)
    run.manifest.folder = tmp_path
    b = player.ClipBoard(player.ClipMedia(run.manifest), items=[dict(row=i, title='', facts='') for i in (0, 2)])
    said = []
    b.send = lambda content, buffers=None: said.append(content)
    for row in (1, 3, -1, None, '0', [0], {}, 1e9):
        b.answer(None, dict(kind='video', row=row), [])
    b.answer(None, dict(kind='__class__', row=0), [])
    b.answer(None, {}, [])
    assert not said
    b.answer(None, dict(kind='thumb', row=0), [])
    b.answer(None, dict(kind='video', row=2), [])
    assert (
        [s['row'] for s in said] == [0, 2]
        and all(s['why'] and len(s['why']) <= 160 for s in said)
        and str(tmp_path) not in said[0]['why']
    )


def test_names_are_never_html():
    n = 12
    run = fake_run(
        n,
        table=dict(
            id=[HOSTILE + str(i) for i in range(n)], label=[HOSTILE] * n, faulty_kind=[HOSTILE] + ['none'] * (n - 1)
        ),
    )
    run.folder = Path(HOSTILE.replace('/', ''))
    e = noise_explorer.NoiseExplorer(noise_explorer.bank_rows(run))
    texts = [w.value for w in (e.trust.figure, e.trust.facts, e.shares.facts, e.status, *e.children[2:4])]
    assert not any('<img' in t or '<script>' in t for t in texts) and 'img src' in e.status.value


def test_planes_that_take_long_are_made_one_at_a_time_and_say_what_went_wrong(monkeypatch):
    import threading

    started, go, real, now, most = threading.Semaphore(0), threading.Semaphore(0), noise_explorer._project, [], []

    def slow(rows, of, how):
        if how == 'PCA':
            return real(rows, of, how)
        now.append(of)
        most.append(len(now))
        started.release()
        go.acquire(timeout=20)
        now.pop()
        if of == 'sound':
            raise RuntimeError('out of memory')
        return real(rows, of, 'PCA')

    monkeypatch.setattr(noise_explorer, '_project', slow)
    p = noise_explorer.NoiseExplorer(noise_explorer.bank_rows(fake_run())).plane

    def until(test):
        end = time.time() + 20
        while not test() and time.time() < end:
            time.sleep(0.01)
        assert test(), (p.note.value, p.board.label)

    p.how.value = 't-SNE'
    started.acquire(timeout=20)
    p.of.value = 'sound'
    p.of.value = 'picture'
    p.of.value = 'sound'
    assert 'Computing t-SNE' in p.note.value and len(now) == 1
    go.release()
    started.acquire(timeout=20)
    assert 'Computing' in p.note.value
    go.release()
    until(lambda: 'No t-SNE of these rows (sound): out of memory' in p.note.value)  # the second one fails, and says so
    p.of.value = 'picture and sound'
    assert not p.note.value and 't-SNE of picture and sound' in p.board.label  # the first one was kept
    p.of.value = 'picture'
    started.acquire(timeout=20)
    p.how.value = 'PCA'
    assert 'PCA of picture,' in p.board.label
    go.release()
    until(lambda: not p.busy)
    assert 'PCA of picture,' in p.board.label and not p.note.value and max(most) == 1 and len(most) == 3


def test_explorer_is_live_without_a_browser():
    e = noise_explorer.NoiseExplorer(noise_explorer.bank_rows(fake_run()))
    before = e.trust.weights
    e.trust.delta.value = 2.0
    assert e.trust.weights.mean() < before.mean() and f'data-delta="{2.0}"' in e.trust.figure.value
    s = e.selection.rows.scores
    e.trust.span.value = (float(np.quantile(s, 0.4)), float(np.quantile(s, 0.6)))
    assert (
        all(
            e.trust.span.value[0] <= s[e.selection.position[i['row']]] <= e.trust.span.value[1]
            for i in e.trust.board.items
        )
        and 'clips looked at' in e.trust.figure.value
    )
    e.trust.board.chosen = e.trust.board.items[-1]['row']
    assert (
        e.shares.board.items[0]['row'] == e.plane.board.chosen == e.trust.board.chosen
        and e.shares.picker.value == e.selection.names[e.shares.asker]
    )
    e.shares.lam.value = 0.0
    assert e.shares.share[e.shares.asker] == 1 and len(e.shares.board.items) == 1
    e.shares.estimator.value = 'neighbor'
    assert e.shares.tau_s.disabled and not e.shares.tau_n.disabled
    e.plane.board.chosen = 10**6
    assert e.shares.board.items[0]['row'] == e.trust.board.chosen == e.selection.chosen  # no such clip: nothing happens
    e.plane.colour.value = 'weight'
    first = e.plane.board.rgb
    e.trust.w_min.value = 0.9
    assert e.plane.board.rgb == first or len(first) == len(e.plane.board.rgb)


# -- in the browser ----------------------------------------------------------------------------------------------------


def test_arithmetic_of_the_board(page):
    found = page.evaluate(
        """async code => { const m = await import(URL.createObjectURL(new Blob([code], {type: 'text/javascript'})));
        const xy = new Float32Array([10, 10, 50, 12, 90, 90, 12, 60]), d = [];
        const pen = {moveTo: (...p) => d.push(p), lineTo: (...p) => d.push(p), closePath() {},
        rect: (...p) => d.push(p), arc: (...p) => d.push(p)};
        for (let s = 0; s < 4; s++) m.outline(pen, s, 5, 5, 4);
        return {near: m.nearest(xy, 48, 10, 16), none: m.nearest(xy, 48, 40, 16),
        right: m.nearest(xy, 10, 10, 1e5, 1, 0), down: m.nearest(xy, 10, 10, 1e5, 0, 1),
        end: m.nearest(xy, 90, 90, 1e5, 1, 0),
                empty: m.nearest(new Float32Array(0), 0, 0, 9), shapes: d.length} }""",
        player.static('kernel.js', 'board.js'),
    )
    assert found == dict(near=1, none=-1, right=1, down=3, end=-1, empty=-1, shapes=10)


def test_a_clip_asked_for_when_the_kernel_goes_is_refused_not_awaited(page):
    said = page.evaluate(
        """async code => {
        const { default: board } = await import(URL.createObjectURL(new Blob([code], {type: 'text/javascript'})));
        const over = [], kernel = { disposed: { connect: f => over.push(f), disconnect() {} } };
        const el = document.body.appendChild(document.createElement('div'));
        const state = { mode: 'cards', label: '', empty: '', chosen: -1, items: [{ row: 3, title: 'a', facts: 'b' }] };
        let asked; const film = new Promise(done => { asked = done });
        const model = { get: k => state[k], set() {}, save_changes() {}, on() {}, off() {},
        send: m => m.kind === 'video' && asked(), widget_manager: { kernel } };
        const end = board.render({ model, el }), say = () => el.querySelector('.avnb-say').textContent;
        el.querySelector('button.avnb-card').click(); await film;
        const before = say(); over.forEach(f => f());
        while (!say() || !el.querySelector('.avnb-why')) await new Promise(requestAnimationFrame);
        const after = el.querySelector('.avnb-say').textContent, why = el.querySelector('.avnb-why').textContent;
        end(); return [before, after, why] }""",
        player.static('kernel.js', 'board.js'),
    )
    assert said[0] == '' and 'Run the cell again' in said[1] and said[1] == said[2]


@pytest.mark.parametrize('calm', ['reduce', 'no-preference'])
@pytest.mark.parametrize('mode', ['cards', 'plane'])
def test_who_wants_less_motion_gets_films_by_a_click_only(page, mode, calm):
    page.emulate_media(reduced_motion=calm)
    found = page.evaluate(
        """async ([code, mode]) => {
        const { default: board } = await import(URL.createObjectURL(new Blob([code], {type: 'text/javascript'})));
        const asked = [], due = [], plain = window.setTimeout;  // due: what would begin after a while
        window.setTimeout = (f, t) => { due.push(f); return 0 };
        const el = document.body.appendChild(document.createElement('div')), buffer = a => new DataView(a.buffer);
        const state = { mode, label: '', empty: '', chosen: -1, items: [{ row: 3, title: 'a', facts: 'b' }],
        xy: buffer(new Float32Array([.5, .5])), rgb: buffer(new Uint8Array(3)),
        shape: buffer(new Uint8Array(1)), legend: {} };
        const model = { get: k => state[k], set() {}, save_changes() {}, on() {}, off() {},
        send: m => asked.push(m.kind) };
        const end = board.render({ model, el }); await new Promise(requestAnimationFrame);
        await new Promise(requestAnimationFrame); due.length = 0;
        const target = el.querySelector(mode === 'cards' ? 'button.avnb-card' : 'canvas');
        if (mode === 'cards') target.dispatchEvent(new PointerEvent('pointerenter')); else { target.focus();
        target.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowRight' })) }
        due.splice(0).forEach(f => f()); const hovered = asked.filter(k => k === 'video').length;
        if (mode === 'cards') target.click(); else target.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter' }));
        due.splice(0).forEach(f => f()); const clicked = asked.filter(k => k === 'video').length;
        window.setTimeout = plain; end(); return [hovered, clicked] }""",
        [player.static('kernel.js', 'board.js'), mode],
    )
    assert found == ([0, 1] if calm == 'reduce' else [1, 1])


def number(page, name):
    return float(page.locator('.avnb-weights').first.get_attribute(name))


def tab(page, text):
    page.locator('.lm-TabBar-tab', has_text=text).last.click()


PLAYING = lambda v: v not in ('', 'error')


def test_walk_through(page, lab):
    lab.open(page, 'nbs/widgets/noise.ipynb', first=["import os; os.environ.pop('AVNB_REAL_DATA', None)"])
    lab.run_all(page)
    cards = page.locator('.avnb-board[data-mode=cards] .avnb-card')
    cards.first.locator('img').wait_for()
    page.locator('.avnb-explorer').scroll_into_view_if_needed()
    before, handle = number(page, 'data-mean'), page.locator('.widget-slider', has_text='delta').locator('.noUi-handle')
    handle.focus()
    [page.keyboard.press('ArrowRight') for _ in range(5)]
    page.wait_for_function("Number(document.querySelector('.avnb-weights').dataset.delta) >= .2")
    assert number(page, 'data-mean') < before
    board = '.avnb-board[data-mode=cards]'
    rows = attribute(page, board, 'data-rows').split()
    cards.nth(1).hover()
    assert attribute(page, board, 'data-playing', PLAYING) == rows[1]
    page.wait_for_function(
        "(v => v && v.currentTime > .1 && v.videoWidth > 0 && !v.muted)(document.querySelector('.avnb-card video'))"
    )
    cards.nth(2).click()
    attribute(page, board, 'data-chosen', lambda v: v == rows[2])
    high = page.locator('.widget-hslider .noUi-handle-upper').first
    high.focus()
    lo, hi = number(page, 'data-lo'), number(page, 'data-hi')
    [page.keyboard.press('ArrowLeft') for _ in range(8)]
    page.wait_for_function("h => Number(document.querySelector('.avnb-weights').dataset.hi) < h - .01", arg=hi)
    assert number(page, 'data-lo') == lo
    shade = page.locator('.avnb-weights [id=span]').bounding_box()
    low = page.locator('.widget-hslider .noUi-handle-lower').first.bounding_box()
    top = high.bounding_box()  # the handles stand under what they shade
    assert (
        abs(low['x'] + low['width'] / 2 - shade['x']) < 5
        and abs(top['x'] + top['width'] / 2 - shade['x'] - shade['width']) < 5
    )
    tab(page, 'Who else')
    second = page.locator('.avnb-board[data-mode=cards]').nth(1)
    assert second.locator('.avnb-card').first.get_attribute('data-row') == rows[2]
    second.locator('.avnb-card img').first.wait_for()
    shares = second.get_attribute('data-rows')
    page.locator('button', has_text='neighbor').click()
    page.wait_for_function(
        "old => document.querySelectorAll('.avnb-board[data-mode=cards]')[1].dataset.rows !== old", arg=shares
    )
    tab(page, 'Map of')
    plane = '.avnb-board[data-mode=plane]'
    attribute(page, plane, 'data-points', lambda v: v == '48')
    canvas = page.locator('.avnb-plane canvas')
    canvas.focus()
    page.keyboard.press('ArrowRight')
    first = attribute(page, plane, 'data-playing', PLAYING)
    page.keyboard.press('ArrowRight')
    other = attribute(page, plane, 'data-playing', lambda v: PLAYING(v) and v != first)
    page.keyboard.press('Enter')
    attribute(page, plane, 'data-chosen', lambda v: v == other)
    assert (
        canvas.evaluate(
            """c => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0;
                for (let i = 3; i < d.length; i += 4) n += d[i] > 100; return n }"""
        )
        > 48 * 40
    )
    page.locator('.widget-dropdown', has_text='colour').locator('select').select_option('weight')
    page.locator('.avnb-scale').wait_for()
    assert not page.errors
    assert lab.save(page) < (ROOT / 'nbs/widgets/noise.ipynb').stat().st_size + 100_000


@pytest.mark.slow
def test_hostile_names_shown_twice_dark_and_without_a_kernel(page, lab, tmp_path):
    t = pd.read_csv(ROOT / 'data_samples' / 'manifest.csv', dtype=str, keep_default_na=False).head(6)
    t['path'] = [os.path.relpath(ROOT / 'data_samples' / p, tmp_path) for p in t['path']]
    t['id'], t['label'] = [HOSTILE + str(i) for i in range(6)], HOSTILE
    t.loc[2, 'path'] = 'gone.mp4'
    (tmp_path / 'manifest.csv').write_text(t.to_csv(index=False))
    lab.open(
        page,
        'hostile.ipynb',
        ['from avnb.noise_explorer import NoiseExplorer', f'e = NoiseExplorer(None, {str(tmp_path)!r}); e', 'e'],
    )
    lab.run_all(page)
    page.locator('.avnb-card img').first.wait_for()
    boards = page.locator('.avnb-board[data-mode=cards]')
    assert boards.count() >= 2 and page.locator('.avnb-explorer').count() == 2
    assert (
        '1 cannot be read' in page.locator('.avnb-explorer').first.inner_text()
        and HOSTILE[:10] in page.locator('.avnb-title').first.inner_text()
    )
    assert page.evaluate('window.hit === undefined')
    page.locator('.avnb-card').first.click()
    chosen = boards.first.get_attribute('data-chosen')
    page.wait_for_function(
        "c => [...document.querySelectorAll('.avnb-board')].every(b => b.dataset.chosen === c)",
        arg=page.locator('.avnb-card').first.get_attribute('data-row'),
    )
    assert chosen
    ink = page.locator('.avnb-weights text').first
    light = ink.evaluate('e => getComputedStyle(e).fill')
    lab.theme(page)
    page.wait_for_function('([e, old]) => getComputedStyle(e).fill !== old', arg=[ink.element_handle(), light])
    assert (
        page.locator('[role=img][aria-label]').count() >= 1
        and page.locator('.avnb-card:not([aria-label])').count() == 0
    )
    seen, fresh = page.locator('.avnb-card').first, page.locator('.avnb-card').nth(1)
    seen.hover()
    attribute(page, '.avnb-board', 'data-playing', PLAYING)
    page.mouse.move(0, 0)
    attribute(page, '.avnb-board', 'data-playing', lambda v: v == '')
    lab.kernel(page, 'shutdown')
    page.wait_for_function(
        "[...document.querySelectorAll('.avnb-gone')].every(e => e.textContent.includes('Run the cell again'))"
    )
    seen.hover()
    attribute(page, '.avnb-board', 'data-playing', PLAYING)
    fresh.hover()
    page.wait_for_function("document.querySelector('.avnb-say').textContent.includes('Run the cell again')")
    assert not page.errors

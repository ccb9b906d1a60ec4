"RunExplorer: folders that grow, break or vanish while it looks, and a walk through it in a real browser."

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from lab import attribute, browser, lab, page  # noqa: F401 (fixtures)

from avnb import run_explorer, runs
from avnb.core import TrainConfig, save_config, set_options
from avnb.manifest import Manifest

ROOT = Path(__file__).resolve().parents[1]
HOSTILE = '"><img src=x onerror="window.hit=1"><script>window.hit=1</script>'


def score(value, **more):
    return dict(value=value, error=0.02, chance=0.08, n=24, baselines=dict(untrained=0.3, colour=0.25)) | more


def make_run(folder, epochs=3, steps=30, of=3, maps=True, seed=0):
    "A run's folder as training writes it: `of` epochs of 10 steps each, of which some are done."
    folder.mkdir(parents=True)
    g = np.random.default_rng(seed)
    save_config(
        set_options(
            TrainConfig(),
            [
                f'optim.epochs={of}',
                'data.batch=2',
                'data.size=64',
                'data.fps=8',
                'view.stride=1',
                f'run.folder="{folder.name}"',
            ],
        ),
        folder / 'config.toml',
    )
    Manifest.load(ROOT / 'data_samples').save(folder / 'manifest.csv')
    add_lines(folder, 1, steps)
    (folder / 'monitors.csv').write_text(
        'step,epoch,name,value\n'
        + ''.join(f'{10 * e},{e},auroc_wrong_track,{0.5 + 0.1 * e}\n' for e in range(1, epochs + 1))
    )
    for e in range(1, epochs + 1) if maps else ():
        (folder / 'maps').mkdir(exist_ok=True)
        np.savez(
            folder / f'maps/epoch-{e:04}.npz',
            rows=np.array([4, 9, 10]),
            **{f'video_{k}': g.random((3, 4, 8, 8)).astype('float16') for k in ('guided', 'self')},
            **{f'audio_{k}': g.random((3, 20, 16)).astype('float16') for k in ('guided', 'self')},
        )
    return folder


def add_lines(folder, first, last, loss=lambda i: 4 - i / 100):
    new = not (folder / 'log.csv').exists()
    with open(folder / 'log.csv', 'a') as f:
        if new:
            f.write('step,epoch,loss,lr,clips_per_s,wait_percent\n')
        for i in range(first, last + 1):
            f.write(f'{i},{(i - 1) // 10},{loss(i)},0.001,120.5,3\n')


# -- reading -----------------------------------------------------------------------------------------------------------


def test_only_whole_lines_count(tmp_path):
    run = make_run(tmp_path / 'r')
    r = runs.RunFolder(run)
    assert r.refresh() and not r.refresh()
    with open(run / 'log.csv', 'a') as f:
        f.write('31,3,2.')
    assert r.refresh() and len(r.curves['loss'][0]) == 30 and r.curves['loss'][1][-1] == pytest.approx(3.7)
    with open(run / 'log.csv', 'a') as f:
        f.write('5,0.001,120.5,3\n')
    assert r.refresh() and r.curves['loss'][1][-1] == 2.5


def test_what_a_run_says_of_itself(tmp_path):
    def now(folder):
        r = runs.RunFolder(folder)
        r.refresh()
        return r

    assert now(tmp_path / 'no').state() == 'there is no such folder'
    (tmp_path / 'empty').mkdir()
    assert 'nothing logged yet' in now(tmp_path / 'empty').state()
    r = now(make_run(tmp_path / 'half', steps=12, of=5, epochs=1))
    assert r.state() == 'step 12 of 60' and not r.done  # 24 training clips, batch 2: 12 steps an epoch
    r = now(make_run(tmp_path / 'one', steps=1, of=1, epochs=1))
    assert r.step == 10 and len(r.curves['loss'][0]) == 1
    assert now(make_run(tmp_path / 'done', steps=36)).done
    add_lines(tmp_path / 'half', 13, 14, lambda i: 'nan')
    assert 'not a number' in now(tmp_path / 'half').state()
    (tmp_path / 'done' / 'config.toml').write_text('half = ')
    assert 'step' in now(tmp_path / 'done').state()
    (tmp_path / 'done' / 'log.csv').write_bytes(b'\xff\xfe,\n\x00')
    now(tmp_path / 'done').state()


def test_folders_of_runs(tmp_path):
    for n in 'ab':
        make_run(tmp_path / 'runs' / n, maps=False)
    make_run(tmp_path / 'other' / 'a', maps=False)
    assert sorted(r.name for r in runs.find_runs(tmp_path / 'runs')) == ['a', 'b'] and [
        r.name for r in runs.find_runs([tmp_path / 'runs' / 'b'])
    ] == ['b']
    assert [r.name for r in runs.find_runs([tmp_path / 'runs' / 'a', tmp_path / 'other' / 'a'])] == [
        'runs/a',
        'other/a',
    ]


def test_maps_that_are_not_there_or_broken(tmp_path):
    r = runs.RunFolder(make_run(tmp_path / 'r'))
    r.refresh()
    whole = r.maps(2)
    assert whole['video_guided'].dtype == np.float32 and r.maps(99)['rows'].tolist() == [4, 9, 10]
    (r.folder / 'maps/epoch-0002.npz').write_bytes(b'PK\x03\x04')
    (r.folder / 'maps/epoch-0003.npz').unlink()
    with pytest.raises(runs.RunError, match='cannot be read'):
        r.maps(2)
    with pytest.raises(runs.RunError):
        r.maps(3)
    p = run_explorer._MapPanel([r])
    p.shown = True
    p.epoch.max = 3
    p.epoch.value = 2
    assert 'cannot be read' in p.strips.value
    np.savez(
        r.folder / 'maps/epoch-0001.npz',
        **(whole | dict(rows=np.array([4, 999, 10]), video_guided=np.full_like(whole['video_guided'], np.nan))),
    )
    p.epoch.value = 1
    assert (
        p.strips.value.count('<img') == 2
        and 'row 999 cannot be shown' in p.strips.value
        and 'not numbers' in p.strips.value
    )
    none = runs.RunFolder(make_run(tmp_path / 'none', maps=False))
    none.refresh()
    with pytest.raises(runs.RunError, match='run.save_maps=8'):
        none.maps(1)


# -- drawing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('seed', range(5))
def test_curves_lift_the_pen_for_what_is_not_a_number(seed):
    g = np.random.default_rng(seed)
    y = g.normal(size=30)
    y[g.random(30) < 0.3] = np.nan
    ok = np.isfinite(y)
    d = run_explorer._svg_path(np.arange(30.0), y)
    starts = int((ok & ~np.r_[False, ok[:-1]]).sum())
    assert d.count('M') == starts and d.count('M') + d.count('L') == ok.sum()


def test_curves_of_nothing_one_and_equal_numbers():
    assert 'no numbers yet' in run_explorer._curve_svg([(0, 'a', np.arange(3.0), np.full(3, np.nan))], 'loss')
    assert '<circle' in run_explorer._curve_svg([(0, 'a', np.array([5.0]), np.array([1.0]))], 'loss')
    flat = run_explorer._curve_svg([(0, 'a', np.arange(50.0), np.zeros(50))], 'weight')
    assert 'nan' not in flat.lower() and 'inf' not in flat.lower()
    assert '<script>' not in run_explorer._curve_svg([(0, HOSTILE, np.arange(3.0), np.arange(3.0))], HOSTILE)


def test_difference_of_maps():
    g = np.random.default_rng(0)
    a = g.random((4, 5, 5))
    one, two = np.zeros((1, 4, 4)), np.zeros((1, 4, 4))
    one[0, 0, 0] = two[0, 3, 3] = 2
    b = g.random((4, 5, 5))
    slow = np.mean([sum(abs(p / x.sum() - q / y.sum()) for p, q in zip(x.flat, y.flat)) / 2 for x, y in zip(a, b)])
    assert (
        run_explorer._map_distance(a, 3 * a) == pytest.approx(0)
        and run_explorer._map_distance(one, two) == 1
        and run_explorer._map_distance(a, b) == pytest.approx(slow)
    )


def test_tables_escape_and_count(tmp_path):
    run = make_run(tmp_path / 'r', maps=False)
    r = runs.RunFolder(run)
    r.refresh()
    assert 'no run here has a ledger' in run_explorer._ledger_html([r])
    (run / 'ledger.csv').write_text('id,path,reason,count\n')
    assert 'no run here has a ledger' in run_explorer._ledger_html([r])
    bad = ''.join(
        f'"{HOSTILE.replace(chr(34), chr(34) * 2)}{i}",p{i}.mp4,moov atom not found,{i}\n' for i in range(300)
    )
    (run / 'ledger.csv').write_text('id,path,reason,count\n' + bad)
    text = run_explorer._ledger_html([r])
    assert (
        '<img' not in text
        and 'data-rows="200"' in text
        and '300 of 300' in text
        and text.index('p299.mp4') < text.index('p150.mp4')
    )
    assert 'data-rows="1"' in run_explorer._ledger_html([r], 'P123.MP4')
    (run / 'report.json').write_text('{"half')
    assert 'not evaluated yet' in run_explorer._scores_html([r])
    (run / 'report.json').write_text(
        json.dumps({'linear_video': score(0.5), HOSTILE: score(0.5, chance=None), 'skipped': {'knn_video': HOSTILE}})
    )
    other = make_run(tmp_path / 's', maps=False)
    (other / 'report.json').write_text(json.dumps({'linear_video': score(0.31), 'linear_audio': score(0.9)}))
    assert '<img' not in run_explorer._scores_html([r])
    both = run_explorer._scores_html([r, runs.RunFolder(other)])
    assert '<img' not in both and '0.50 ± 0.02*' in both and '0.31 ± 0.02<' in both and 'untrained 0.30' in both


# -- living ------------------------------------------------------------------------------------------------------------


def until(test, seconds=20):
    end = time.time() + seconds
    while not test() and time.time() < end:
        time.sleep(0.02)
    assert test()


def test_it_follows_a_run_and_stops_when_closed(tmp_path):
    run = make_run(tmp_path / 'r', epochs=1, steps=5, of=3)
    x = run_explorer.RunExplorer(run, every=0.05)
    assert x.thread.is_alive() and 'step 10 of 36' in x.table.value and x.maps.epoch.max == 1
    add_lines(run, 6, 20)
    until(lambda: 'data-steps="20"' in x.curves.panels.value)
    kept = shutil.copy(run / 'maps/epoch-0001.npz', run / 'maps/epoch-0002.npz')
    until(lambda: x.maps.epoch.value == 2)
    assert kept
    (run / 'ledger.csv').write_text('id,path,reason,count\na,a.mp4,cut off,1\n')
    until(lambda: 'a.mp4' in x.ledger.value)
    shutil.rmtree(run)
    until(lambda: 'the folder is gone' in x.table.value)
    assert 'data-steps="20"' in x.curves.panels.value
    until(lambda: not x.thread.is_alive())
    assert not x.live.value  # nothing left to wait for
    make_run(tmp_path / 'r', steps=30)
    x.live.value = True
    until(lambda: 'data-steps="30"' in x.curves.panels.value)
    x.close()
    x.thread.join(5)
    assert not x.thread.is_alive()


def test_shown_nowhere_it_stops_and_shown_again_it_goes_on(tmp_path):
    run = make_run(tmp_path / 'r', epochs=1, steps=5, of=3)
    x = run_explorer.RunExplorer(run, every=0.05)
    assert x.thread.is_alive()  # before the browser has answered, too
    x._view_count = 2
    x._view_count = 1
    old = x.thread
    assert old.is_alive()
    x._view_count = 0
    old.join(5)
    assert not old.is_alive()
    add_lines(run, 6, 20)
    x._view_count = 1
    until(lambda: 'data-steps="20"' in x.curves.panels.value)
    x.close()
    x.thread.join(5)
    assert not x.thread.is_alive()


def test_it_leaves_a_run_that_is_done_alone(tmp_path):
    run = make_run(tmp_path / 'r', steps=36)
    (run / 'report.json').write_text(json.dumps(dict(linear_video=score(0.5))))
    x = run_explorer.RunExplorer(run, every=0.02)
    x.thread.join(10)
    assert not x.thread.is_alive() and not x.live.value and '>done<' in x.table.value and 'loss' in x.curves.names.value
    assert 'there is no such folder' in (y := run_explorer.RunExplorer(tmp_path / 'no', every=0.02)).curves.panels.value
    y.close()


def test_choice_of_curves_survives_new_ones(tmp_path):
    run = make_run(tmp_path / 'r', maps=False)
    x = run_explorer.RunExplorer(run, every=60)
    x.curves.names.value = ('lr',)
    with open(run / 'monitors.csv', 'a') as f:
        f.write('30,3,target_entropy,2.5\n')
    x.look()
    assert (
        x.curves.names.value == ('lr',)
        and 'target_entropy' in x.curves.names.options
        and x.curves.panels.value.count('<figure>') == 1
    )
    x.close()


# -- in the browser ----------------------------------------------------------------------------------------------------


def tab(page, text):
    page.locator('.lm-TabBar-tab', has_text=text).last.click()


def test_walk_through(page, lab, tmp_path):
    run, other = (
        make_run(tmp_path / 'first', steps=20, epochs=2),
        make_run(tmp_path / HOSTILE.replace('/', ''), steps=15, epochs=1, seed=1),
    )
    (run / 'report.json').write_text(
        json.dumps(dict(linear_video=score(0.5), auroc_wrong_track=score(0.4, chance=0.5)))
    )
    (run / 'ledger.csv').write_text(
        f'id,path,reason,count\na,a.mp4,cut off,2\nb,"{HOSTILE.replace(chr(34), chr(34) * 2)}",no sound,1\n'
    )
    lab.open(
        page,
        'runs.ipynb',
        ['from avnb.run_explorer import RunExplorer', f'RunExplorer([{str(run)!r}, {str(other)!r}], every=.2)'],
    )
    lab.run_all(page)
    curves, svgs = '[data-kind=curves]', page.locator('.avnb-curves svg')
    page.locator(curves).scroll_into_view_if_needed()
    assert (
        attribute(page, curves, 'data-steps') == '20 15'
        and svgs.count() == 2
        and svgs.first.get_attribute('aria-label').startswith('loss (nats). Last values: first: 3.8 at step 20')
    )
    old = svgs.first.locator('path').first.get_attribute('d')
    add_lines(run, 21, 36)
    attribute(page, curves, 'data-steps', lambda v: v == '36 15')
    assert svgs.first.locator('path').first.get_attribute('d') != old
    page.locator('.widget-select-multiple select').select_option(['lr'])
    page.wait_for_function("document.querySelectorAll('.avnb-curves svg').length === 1")
    tab(page, 'Attention')
    maps = '[data-kind=maps]'
    attribute(page, maps, 'data-epoch', lambda v: v == '2')
    strips = page.locator('.avnb-strips img')
    assert strips.count() == 3
    page.wait_for_function("[...document.querySelectorAll('.avnb-strips img')].every(i => i.naturalWidth === 240)")
    second = strips.first.get_attribute('src')
    page.locator('.widget-slider .noUi-handle:visible').first.focus()
    page.keyboard.press('ArrowLeft')
    attribute(page, maps, 'data-epoch', lambda v: v == '1')
    assert strips.first.get_attribute('src') != second
    page.locator('button', has_text='by one sense').click()
    attribute(page, maps, 'data-guide', lambda v: v == 'self')
    tab(page, 'Scores')
    assert (
        page.locator('table[data-kind=scores] tbody tr').count() == 2
        and '0.50 ± 0.02*' in page.locator('.avnb-scores').inner_text()
        and 'not evaluated yet' in page.locator('.avnb-scores').inner_text()
    )
    tab(page, 'Bad files')
    page.locator('input[placeholder^="a part"]').fill('no sound')
    attribute(page, 'table[data-kind=ledger]', 'data-rows', lambda v: v == '1')
    assert (
        '<img src=x' in page.locator('table[data-kind=ledger]').inner_text()
        and page.evaluate('window.hit === undefined')
        and not page.errors
    )
    tab(page, 'Attention')
    cut = page.locator('.avnb-explorer .widget-toggle-button').evaluate_all(
        'b => b.filter(e => e.scrollWidth > e.clientWidth).map(e => e.textContent)'
    )
    assert not cut
    assert lab.save(page) < 100_000


def test_a_cell_that_runs_again_leaves_no_watcher_behind(page, lab, tmp_path):
    run = make_run(tmp_path / 'r', steps=20, epochs=2, maps=False)
    show, count = (
        f'x = RunExplorer({str(run)!r}, every=.05); x',
        'import threading; left = lambda: [t for t in threading.enumerate() if t.name.startswith("RunExplorer")]',
    )
    lab.open(
        page,
        'again.ipynb',
        [f'from avnb.run_explorer import RunExplorer\n{count}', show, 'print("watching", len(left()))'],
    )
    for _ in range(3):
        lab.run_all(page)
        page.wait_for_function("document.querySelectorAll('.avnb-runs').length === 1")

    def watching():
        lab.run_cell(page, 2)
        return page.locator('.jp-OutputArea-output pre').last.inner_text().strip()

    until(lambda: watching() == 'watching 1')
    lab.kernel(page, 'shutdown')
    page.wait_for_function("document.querySelector('.avnb-gone').textContent.includes('Run the cell again')")
    assert not page.errors


@pytest.mark.slow
def test_practice_run_trains_while_the_notebook_looks(page, lab):
    lab.open(page, 'nbs/widgets/run.ipynb', first=["import os; os.environ.pop('AVNB_REAL_DATA', None)"])
    lab.run_all(page)
    steps = '[data-kind=curves][data-steps]'
    first = int(attribute(page, steps, 'data-steps', timeout=120_000))
    attribute(page, steps, 'data-steps', lambda v: int(v) > first or first == 36, timeout=120_000)
    attribute(page, 'table[data-kind=runs]', 'data-rows', lambda v: v == '1')
    page.wait_for_function(
        "document.querySelector('table[data-kind=runs]').innerText.includes('done')", timeout=180_000
    )
    tab(page, 'Attention')
    attribute(page, '[data-kind=maps]', 'data-epoch', lambda v: v == '12')
    assert page.locator('.avnb-strips img').count() == 4
    tab(page, 'Scores')
    page.locator('.avnb-scores table').wait_for(timeout=180_000)
    tab(page, 'Bad files')
    assert 'lost.mp4' in page.locator('table[data-kind=ledger]').inner_text()
    ink = page.locator('.avnb-explorer .avnb-line, .avnb-explorer td').first
    light = ink.evaluate('e => getComputedStyle(e).color')
    lab.theme(page)
    page.wait_for_function('([e, old]) => getComputedStyle(e).color !== old', arg=[ink.element_handle(), light])
    assert not page.errors

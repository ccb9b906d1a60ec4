"AttentionExplorer as a person uses it: a real JupyterLab and browser, the notebook in nbs/widgets, and odd clips."

import numpy as np
import pytest
from lab import ROOT, attribute, browser, lab, new_page, page  # noqa: F401 (fixtures)
from test_player_js import point

from avnb import attention_explorer, player
from avnb.core import AvnbError
from avnb.media import write_clip
from avnb.network import Network
from avnb.player import clips_to_show

NOTEBOOK, ONE = (
    'nbs/widgets/attention.ipynb',
    ['import numpy as np\nfrom pathlib import Path\nfrom avnb.attention_explorer import AttentionExplorer'],
)
FIRST = '.avnb-explorer:not(:has(h4)) .avnb'


def test_chromium_is_installed_only_where_that_is_wanted():
    from lab import may_install

    assert (
        not may_install({}, True)
        and not may_install({'CI': 'true'}, False)
        and not may_install({'AVNB_BROWSER': 'no'}, True)
    )
    assert may_install({'CI': 'true'}, True) and may_install({'AVNB_BROWSER': 'install'}, False)


def test_without_chromium_the_tests_are_listed_as_skipped(monkeypatch):
    import lab

    monkeypatch.setattr(lab, 'find_chromium', lambda: None)
    with pytest.raises(pytest.skip.Exception, match='no Chromium .* AVNB_BROWSER=install'):
        lab.start_chromium(None)


def test_media_are_transcoded_once(tmp_path, monkeypatch):
    monkeypatch.setenv('AVNB_CACHE', str(tmp_path / 'cache'))
    made = []
    encode = player._encode_media
    monkeypatch.setattr(player, '_encode_media', lambda c: made.append(1) or encode(c))
    x = np.random.default_rng(0).integers(0, 255, (8, 32, 32, 3), dtype=np.uint8)
    path = write_clip(tmp_path / 'a.mp4', x, None, 8.0)
    first = player.browser_media(path)
    assert player.browser_media(path) == first and len(made) == 1
    write_clip(path, x[:4], None, 8.0)
    assert player.browser_media(path) != first and len(made) == 2  # another file of that name
    clip = player.read_window(path)
    a, b = player.browser_media(clip), player.browser_media(clip)
    assert a == b and len(made) == 3
    monkeypatch.setattr(player, '_CACHE_BYTES', len(a))
    player.browser_media(path, 0, 0.25)
    assert sum(p.stat().st_size for p in (tmp_path / 'cache').iterdir()) <= len(a)
    (tmp_path / 'file').write_text('')
    monkeypatch.setenv('AVNB_CACHE', str(tmp_path / 'file'))
    assert player.browser_media(path)  # nowhere to keep it: it plays nevertheless


def test_folders_that_can_be_shown(tmp_path):
    (tmp_path / 'clips').mkdir()
    (tmp_path / 'odd').mkdir()
    for n in ('clips/b.mp4', 'clips/a.webm', 'clips/.hidden.mp4', 'clips/notes.txt', 'odd/c.mp4'):
        (tmp_path / n).touch()
    assert clips_to_show(tmp_path).table['id'].tolist() == ['a.webm', 'b.mp4'] and clips_to_show(
        tmp_path / 'odd'
    ).table['id'].tolist() == ['c.mp4']
    with pytest.raises(player.ExplorerError, match='there is no'):
        clips_to_show(tmp_path / 'no')


def test_the_film_has_the_sound_that_is_heard(tmp_path):
    from avnb.media import read_clip

    e = attention_explorer.AttentionExplorer(first=4, out=tmp_path)
    e.controls.how.value = 'mute'
    assert e.player.view['hear'] == 1
    loud = lambda: float(np.abs(read_clip(e.save_mp4()).waveform).max())
    assert loud() < 0.01
    e.player.view = e.player.view | dict(hear=0)
    assert loud() > 0.05


def state(root):
    return root.evaluate('e => ({...e.dataset})')


def ready(page, selector='.avnb', changed=None):
    "The player's state once it shows something (other than the version `changed`)."
    attribute(page, selector, 'data-ready', lambda v: v != changed)
    return state(page.locator(selector).first)


def pick(page, label, value):
    "Choose in the first ipywidgets dropdown with this description."
    box = (
        page.locator('.avnb-explorer').first.locator('.widget-dropdown', has=page.get_by_text(label, exact=True)).first
    )
    box.locator('select').select_option(value)


def text(page, selector, has, timeout=60_000):
    "Wait until an element's text holds a word."
    page.wait_for_function(
        '([s, t]) => [...document.querySelectorAll(s)].some(e => e.textContent.includes(t))',
        arg=[selector, has],
        timeout=timeout,
    )


def sums(page, selector='.avnb'):
    return state(page.locator(selector).first)['picture'].split()


def test_the_notebook_as_a_person_uses_it(page, lab):
    lab.open(page, NOTEBOOK, first=["import os; os.environ.pop('AVNB_REAL_DATA', None)"])
    lab.run_all(page)
    first = ready(page)
    root = page.locator('.avnb').first
    root.scroll_into_view_if_needed()
    assert (
        root.evaluate('e => e.avnb.panels.length') == 1
        and len(page.locator('.avnb-picker').first.locator('img').all()) == 8
    )

    page.locator('.avnb-play').first.click()  # play
    attribute(page, '.avnb', 'data-frame', lambda v: 8 <= int(v) < 32)
    page.keyboard.press('Space')
    attribute(page, '.avnb', 'data-playing', lambda v: v == 'false')
    paused = state(root)
    assert abs(int(paused['frame']) - float(paused['time']) * 16) <= 1.5 and paused['picture'] != first['picture']

    page.keyboard.press('.')
    attribute(page, '.avnb', 'data-frame', lambda v: int(v) == int(paused['frame']) + 1)  # step
    scrub = page.locator('.avnb-scrub').first
    scrub.focus()
    page.keyboard.press('Home')
    attribute(page, '.avnb', 'data-frame', lambda v: v == '0')
    scrub.fill('1.2')
    attribute(page, '.avnb', 'data-frame', lambda v: v == '19')

    point(page, 'picture', 0.55, 0.45)
    attribute(page, '.avnb', 'data-answers', lambda v: v == 'sound')  # hover and lock
    asked = page.locator('.avnb-answer').first.inner_text()
    assert 'Patch in row 4 of 8, column 5 of 8, at 1.20 s' in asked
    page.keyboard.press('l')
    assert attribute(page, '.avnb', 'data-lock', bool).startswith('picture')
    point(page, 'sound', 0.2, 0.5)
    assert page.locator('.avnb-answer').first.inner_text() == asked and state(root)['answers'] == 'sound'
    page.keyboard.press('Escape')
    assert attribute(page, '.avnb', 'data-answers', lambda v: v == 'picture')
    page.mouse.move(2, 2)
    attribute(page, '.avnb', 'data-answers', lambda v: v == '')

    seen = {
        v: (page.locator('[data-view=layer]').first.select_option(v), sums(page))[1][0]
        for v in ('alone', 'guided', 'difference')
    }
    assert len(set(seen.values())) == 3
    heard = {
        v: (page.locator('[data-view=band]').first.select_option(v), state(root)['sound'])[1]
        for v in ('alone', 'guided', 'difference')
    }
    assert len(set(heard.values())) == 3
    page.locator('[data-view=layer]').first.select_option('guided')
    over = sums(page)
    page.locator('[data-view=per]').first.select_option('frame')
    assert sums(page) != over
    page.locator('[data-view=per]').first.select_option('clip')

    before = state(root)['ready']
    pick(page, 'what if', 'silence')
    attribute(page, '.avnb', 'data-ready', lambda v: v != before)  # what if
    text(page, '.avnb h4', 'silence')
    own, muted = sums(page)
    assert own != muted and root.evaluate('e => e.avnb.ear') == 1
    assert root.evaluate(
        'e => e.avnb.panels[1].video.guided.x.some(Number.isFinite) && Math.max(...e.avnb.sounds[1].wave) === 0'
    )
    pick(page, 'what if', 'another clip')
    text(page, '.avnb h4', 'sound of')
    pick(page, 'what if', 'own sound')
    page.wait_for_function(
        """own => { const d = document.querySelector(".avnb");
            return d.avnb.panels.length === 1 && d.dataset.picture === own }""",
        arg=own,
    )

    page.locator('.avnb-explorer').first.get_by_role('button', name='page (HTML)').click()
    text(page, '.avnb-saved', 'exports/')
    saved = list((lab.root / 'nbs' / 'widgets' / 'exports').glob('*.html'))
    assert len(saved) == 1 and '</html>' in saved[0].read_text()[-20:]

    two = page.locator('.avnb').nth(1)
    two.scroll_into_view_if_needed()  # compare
    assert (
        two.evaluate('e => e.avnb.panels.map(p => p.label)') == ['untrained', 'trained']
        and len(set(state(two)['picture'].split())) == 2
    )
    two.locator('.avnb-play').click()
    page.wait_for_function('+document.querySelectorAll(".avnb")[1].dataset.frame > 4')
    page.locator('.avnb-play').first.evaluate('e => e.click()')
    page.wait_for_function('document.querySelectorAll(".avnb")[1].dataset.playing === "false"')  # one at a time
    assert not page.errors
    assert lab.save(page) < (ROOT / NOTEBOOK).stat().st_size + 100_000, 'the notebook stays small when saved'


def test_a_film_holds_what_its_labels_say():
    "Map by map: what the player draws, under the name of what it is; nothing where nothing is chosen."
    from avnb.attention_explorer import _film_parts, _select_map
    from avnb.player import unpack_map

    e = attention_explorer.AttentionExplorer(first=4)
    scene = e.player.scene
    have = {k: unpack_map(m) for k, m in scene['panels'][0]['video'].items()}
    sound = {k: unpack_map(m) for k, m in scene['panels'][0]['audio'].items()}
    want = {
        'guided by the sound': ('guided', have['guided']),
        'vision alone': ('alone', have['alone']),
        'difference': ('difference', have['guided'] - have['alone']),
    }
    for label, (layer, x) in want.items():
        maps = _film_parts(scene, layer)['maps']
        assert list(maps) == [label] and np.allclose(maps[label], x)
    assert (
        _film_parts(scene, 'none')['maps'] == {}
        and np.allclose(_film_parts(scene, 'none', 0, 'alone')['freq_map'], sound['alone'])
        and _film_parts(scene, 'alone', 0, 'none')['freq_map'] is None
    )
    assert (
        _select_map({'alone': scene['panels'][0]['video']['alone']}, 'guided')[0] == 'alone'
        and _select_map({}, 'guided') is None
    )


def test_pairs_that_are_no_numbers_are_not_trusted_and_not_fatal(tmp_path):
    from types import SimpleNamespace as S

    import pandas as pd
    import torch

    from avnb.core import TrainConfig
    from avnb.memory import MemoryBank

    bank = MemoryBank(5, 8)
    bank.video.copy_(torch.nn.functional.normalize(torch.randn(5, 8), dim=1))
    bank.audio.copy_(bank.video)
    bank.audio[2] = torch.nan
    bank.written.copy_(torch.tensor([1, 1, 1, 1, 0]).bool())
    run = S(cfg=TrainConfig(), bank=bank, manifest=S(table=pd.DataFrame(dict(id=list('abcde')))))
    assert set(attention_explorer.pair_weights(run)) == set('abd')
    run.bank.audio[:] = torch.nan
    assert attention_explorer.pair_weights(run) == {}


def test_a_clip_or_network_that_fails_never_leaves_another_clip_under_its_name(tmp_path, monkeypatch):
    e = attention_explorer.AttentionExplorer(first=4)
    shown = e.player.scene['title']
    assert shown

    def fails(*a, **k):
        raise player.ExplorerError('no such scene')

    with monkeypatch.context() as m:
        m.setattr(attention_explorer, 'make_scene', fails)
        e.look_at(5)
    assert not e.player.scene and 'no such scene' in e.status.value
    e.look_at(4)
    assert e.player.scene['title'] == shown
    e = attention_explorer.AttentionExplorer({'good': None, 'gone': tmp_path / 'gone.pt'}, first=4)
    assert [p['label'] for p in e.player.scene['panels']] == ['good', 'gone'] and e.player.scene['panels'][1]['note']


def test_a_first_network_that_cannot_be_loaded_leaves_the_others_to_be_seen(tmp_path):
    e = attention_explorer.AttentionExplorer({'gone': tmp_path / 'gone.pt', 'good': None}, first=4)
    a, b = e.player.scene['panels']
    assert (
        (a['label'], b['label']) == ('gone', 'good')
        and a['note']
        and not a['video']
        and set(b['video']) == {'alone', 'guided'}
    )
    e.controls.chosen.value = ('gone',)
    assert len(e.player.scene['panels']) == 1 and e.player.scene['panels'][0]['note'] and e.player.scene['title']
    with pytest.raises((AvnbError, OSError)):
        attention_explorer.AttentionExplorer({'gone': tmp_path / 'gone.pt'})


@pytest.fixture(scope='module')
def small_run(tmp_path_factory):
    "A run of two epochs on the sample clips, with a checkpoint of each."
    from avnb.core import TrainConfig, set_options
    from avnb.training import fit

    d = tmp_path_factory.mktemp('runs') / 'small'
    return fit(
        set_options(
            TrainConfig(),
            [
                f'data.manifest="{ROOT / "data_samples" / "manifest.csv"}"',
                f'run.folder="{d}"',
                'optim.epochs=2',
                'data.size=64',
                'data.fps=8',
                'data.workers=0',
                'data.batch=8',
                'view.stride=1',
                'model.width=8',
                'model.dim=32',
                'xid.candidates=batch',
                'run.device=cpu',
                'run.save_maps=0',
                'run.checkpoint_every=3',
                'run.keep_checkpoints=9',
            ],
        )
    )


def test_checkpoints_stand_side_by_side_under_their_steps(small_run, monkeypatch):
    steps = sorted((small_run.folder / 'checkpoints').glob('step-*.pt'))
    assert len(steps) >= 2
    e = attention_explorer.AttentionExplorer(steps[-2:], first=4)
    labels = [p['label'] for p in e.player.scene['panels']]
    assert labels == [f'small/step-{int(p.stem[5:])}' for p in steps[-2:]]
    a, b = ([p['video']['guided'][k] for k in ('data', 'lo', 'hi')] for p in e.player.scene['panels'])
    assert a != b
    monkeypatch.chdir(steps[0].parent)
    assert list(attention_explorer._named_sources(steps[0].name)) == [f'small/step-{int(steps[0].stem[5:])}']
    assert Network.open(steps[0].name).cfg.model.dim == 32
    assert list(attention_explorer._named_sources(['runs/a.b', 'runs/c'])) == ['a.b', 'c']


def test_clips_of_a_run_are_sorted_by_how_far_it_trusts_them(small_run):
    e = attention_explorer.AttentionExplorer(small_run, small_run.manifest, first=0)
    known = attention_explorer.pair_weights(small_run)
    assert len(known) >= 16 and len(set(known.values())) > 8
    shown = lambda: [small_run.manifest.table['id'].iloc[i] for i in e.picker.cards]
    e.picker.order.value = 'least trusted first'
    e.picker.refresh(0)
    least = shown()
    assert [known[i] for i in least] == sorted(known.values())[:8]
    e.picker.order.value = 'most trusted first'
    assert [known[i] for i in shown()] == sorted(known.values())[::-1][:8]
    assert (
        f'weight {known[least[0]]:.2f}'
        in e.picker.card(small_run.manifest.table['id'].tolist().index(least[0])).children[1].tooltip
    )


def test_four_panels_and_no_more():
    e = attention_explorer.AttentionExplorer({k: None for k in 'abcde'}, first=4)
    labels = lambda: [p['label'] for p in e.player.scene['panels']]
    assert labels() == list('abcd') and not e.status.value
    e.controls.how.value = 'mute'
    assert (
        labels() == ['a, own sound', 'a, silence', 'b, own sound', 'b, silence']
        and 'four panels at most: 2 of the chosen networks left out' in e.status.value
    )
    e.controls.how.value = ''
    assert labels() == list('abcd') and not e.status.value
    e.controls.chosen.value = tuple('abcde')
    assert labels() == list('abcd') and '1 of the chosen networks left out' in e.status.value


def test_choosing_clips_piles_up_no_widgets():
    import ipywidgets

    e = attention_explorer.AttentionExplorer(first=4)
    count = lambda: (
        len(ipywidgets.widgets.widget._instances)
        if hasattr(ipywidgets.widgets.widget, '_instances')
        else len(ipywidgets.Widget.widgets)
    )
    e.picker.refresh(0)
    n, buttons = count(), [c.children[1] for c in e.picker.row.children]
    for i in range(5):
        e.look_at(i)
        e.picker.refresh()
    assert (
        count() == n
        and [c.children[1] for c in e.picker.row.children] == buttons
        and [b.button_style for b in buttons].index('primary') == 4
    )
    e.picker.refresh(8)
    e.picker.refresh(0)
    assert count() == n


def run(lab, page, name, *cells):
    "A notebook of these cells, run; the explorer's state."
    lab.open(page, name, [*ONE, *cells])
    lab.run_all(page)
    return ready(page)


@pytest.fixture(scope='module')
def odd(tmp_path_factory):
    "A folder of clips that are awkward in one way each."
    d = tmp_path_factory.mktemp('odd')
    tone = lambda s, r: (0.3 * np.sin(np.arange(int(s * r)) * 0.2)).astype(np.float32)

    def frames(n, h=96, w=96):
        x = np.zeros((n, h, w, 3), np.uint8)
        x[:, ::8] = 90
        for k in range(n):
            x[k, h // 4 : h // 2, (3 * k) % (w - 20) : (3 * k) % (w - 20) + 20] = 200
        return x

    write_clip(d / 'no_sound.mp4', frames(32), None, 16.0)
    write_clip(d / 'one_frame.mp4', frames(1), tone(0.5, 16000), 16.0)
    write_clip(d / 'mono8k.mp4', frames(32), tone(2, 8000), 16.0, 8000)
    write_clip(d / 'portrait.mp4', frames(32, 160, 90), tone(2, 16000), 16.0)
    write_clip(d / 'sixty.mp4', frames(120), tone(2, 16000), 60.0)
    write_clip(d / '<b>name&.mp4', frames(16), tone(1, 16000), 16.0)
    import soundfile

    soundfile.write(d / 'sound_only.wav', tone(2, 16000), 16000)
    (d / 'broken.mp4').write_bytes(b'not a video')
    return d


@pytest.mark.slow
def test_odd_clips_work_or_say_why(page, lab, odd):
    run(lab, page, 'odd.ipynb', f'e = AttentionExplorer(None, {str(odd)!r}); e')
    names = sorted(p.name for p in odd.iterdir())
    root = page.locator('.avnb').first

    def go(name):
        "Choose a clip by its thumbnail's name."
        root.evaluate('e => { delete e.dataset.ready }')
        page.locator('.avnb-picker button', has_text=name).first.click()
        if name != 'broken.mp4':
            text(page, '.avnb h3', name)
            attribute(page, '.avnb', 'data-ready')
        return root.evaluate(
            """e => { const v = e.avnb; return v.panels && {keys: Object.keys(v.panels[0].video),
                size: v.scene.size, area: v.scene.area, fps: v.scene.fps, frames: v.scene.frames,
                seconds: v.scene.seconds, notes: v.scene.notes, bands: Object.keys(v.panels[0].audio)} }"""
        )

    page.wait_for_function('n => document.querySelectorAll(".avnb-picker button").length === n + 2', arg=len(names))
    s = go('no_sound.mp4')
    assert s['keys'] == ['alone'] and s['bands'] == [] and 'No sound track' in s['notes'][0]
    s = go('one_frame.mp4')
    assert s['frames'] >= 1 and 'guided' in s['keys']
    s = go('mono8k.mp4')
    assert abs(s['seconds'] - 2) < 0.1 and 'guided' in s['keys']
    s = go('portrait.mp4')
    assert s['size'] == [160, 90] and 0 < s['area'][1] < 0.3 and s['area'][0] == 0
    s = go('sixty.mp4')
    assert s['fps'] == 30 and abs(s['seconds'] - 2) < 0.1
    page.locator('.avnb-play').first.click()
    attribute(page, '.avnb', 'data-frame', lambda v: int(v) > 20)
    s = go('sound_only.wav')
    assert s['frames'] == 0 and s['bands'] == ['alone'] and 'No picture' in s['notes'][0]
    s = go('<b>name&.mp4')
    assert page.locator('.avnb h3').first.inner_text() == '<b>name&.mp4' and page.locator('.avnb h3 b').count() == 0
    go('broken.mp4')
    text(page, '[role=status]', 'broken.mp4 cannot be shown')
    assert not page.errors


@pytest.mark.slow
def test_ten_minutes_are_looked_at_in_windows(page, lab, tmp_path):
    import av

    path = tmp_path / 'long.mp4'
    with av.open(str(path), 'w') as c:  # 10 min, 5 pictures a second, one hue per minute
        v = c.add_stream(
            'libx264', rate=5, width=320, height=240, pix_fmt='yuv420p', options=dict(preset='ultrafast', g='25')
        )
        a = c.add_stream('aac', rate=16000, layout='mono')
        for i in range(3000):
            f = av.VideoFrame.from_ndarray(np.full((240, 320, 3), 20 * (i // 300) + 30, np.uint8), format='rgb24')
            f.pts = i
            f.time_base = 1 / v.average_rate
            c.mux(v.encode(f))
        for i in range(0, 600 * 16000, 1024):
            f = av.AudioFrame.from_ndarray(
                (0.2 * np.sin(np.arange(i, i + 1024) * 0.1)).astype(np.float32)[None], format='fltp', layout='mono'
            )
            f.sample_rate, f.pts = 16000, i
            c.mux(a.encode(f))
        c.mux(v.encode(None))
        c.mux(a.encode(None))
    run(
        lab,
        page,
        'long.ipynb',
        'import resource\nuse = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n'
        f'e = AttentionExplorer(None, {str(path)!r}); before = use(); e',
        'e.start.value = 580\nprint("grew", int(use() - before), "start", e.player.scene["start"], '
        '"s", e.player.scene["seconds"], "brightness", int(e.clip.frames.mean()))',
    )
    out = page.locator('.jp-OutputArea-output pre').last.inner_text().split()
    assert int(out[1]) < 300 and float(out[3]) == 580 and float(out[5]) == 10 and abs(int(out[7]) - 210) < 6, out
    text(page, '.avnb-clock', '580')
    assert page.locator('.avnb-explorer .widget-slider').first.is_visible()


@pytest.mark.slow
def test_twice_two_and_reopened(page, lab):
    run(lab, page, 'twice.ipynb', 'e = AttentionExplorer(first=4); e', 'e', 'f = AttentionExplorer(first=7); f')
    page.wait_for_function('document.querySelectorAll(".avnb[data-ready]").length === 3')
    a, b, c = (page.locator('.avnb').nth(i) for i in range(3))
    assert state(a)['picture'] == state(b)['picture'] != state(c)['picture']
    ids = page.evaluate('[...document.querySelectorAll(".avnb [id]")].map(e => e.id)')
    assert len(ids) == len(set(ids))
    a.locator('[data-view=layer]').select_option('alone')
    page.wait_for_function('document.querySelectorAll(".avnb")[1].avnb.view.layer === "alone"')
    assert c.evaluate('e => e.avnb.view.layer') == 'guided' and state(a)['picture'] == state(b)['picture']
    lab.save(page)
    lab.goto(page, 'twice.ipynb')  # closed and reopened, the kernel goes on
    page.wait_for_function('document.querySelectorAll(".avnb[data-ready]").length >= 1', timeout=60_000)
    page.locator('.avnb-play').first.click()
    attribute(page, '.avnb', 'data-frame', lambda v: int(v) > 3)
    assert not page.errors


@pytest.mark.slow
def test_kernel_restarted(page, lab):
    run(lab, page, 'gone.ipynb', 'AttentionExplorer(first=4)')
    lab.kernel(page, 'restart')
    text(page, '.avnb-trouble', 'run the cell again')
    page.locator('.avnb-play').first.click()
    attribute(page, '.avnb', 'data-frame', lambda v: int(v) > 3)  # it plays and answers all the same
    point(page, 'picture', 0.5, 0.5)
    attribute(page, '.avnb', 'data-answers', lambda v: v == 'sound')
    lab.run_all(page)
    page.wait_for_function(
        'document.querySelectorAll(".avnb").length === 1 && document.querySelector(".avnb").dataset.ready'
    )
    assert page.locator('.avnb-trouble').count() == 0
    lab.kernel(page, 'shutdown')
    text(page, '.avnb-trouble', 'run the cell again')


@pytest.mark.slow
def test_in_notebook_7(page):
    from lab import server

    notebook = server('notebook')
    run(
        notebook,
        page,
        'seven.ipynb',
        'AttentionExplorer(first=4)',
        'from avnb.noise_explorer import NoiseExplorer; NoiseExplorer()',
    )
    page.locator('.avnb-play').first.click()
    attribute(page, '.avnb', 'data-frame', lambda v: int(v) > 8)
    point(page, 'picture', 0.5, 0.5)
    attribute(page, '.avnb', 'data-answers', lambda v: v == 'sound')
    before = state(page.locator('.avnb').first)['ready']
    pick(page, 'what if', 'silence')
    attribute(page, '.avnb', 'data-ready', lambda v: v != before)
    text(page, '.avnb h4', 'silence')
    card = page.locator('.avnb-card').nth(1)
    card.locator('img').wait_for()
    card.click()
    attribute(page, '.avnb-board', 'data-chosen', lambda v: v == card.get_attribute('data-row'))


@pytest.mark.slow
def test_keyboard_alone(page, lab):
    run(lab, page, 'keys.ipynb', 'e = AttentionExplorer(first=4); e')
    root = page.locator('.avnb').first
    root.scroll_into_view_if_needed()
    page.locator('.avnb-back').first.focus()
    reached = []
    for _ in range(25):
        here = page.evaluate(
            """(() => { const e = document.activeElement; if (!e.closest(".avnb")) return null;
                const s = getComputedStyle(e); return [e.className || e.dataset.view || e.type,
                e.getAttribute("aria-label") || (e.labels && e.labels[0] && e.labels[0].textContent) ||
                e.textContent, s.outlineStyle !== "none" || e.matches(":focus-visible")] })()"""
        )
        if here is None:
            break
        reached.append(here)
        page.keyboard.press('Tab')
    assert len(reached) >= 14 and all(name for _, name, _ in reached) and all(seen for *_, seen in reached), reached
    page.locator('.avnb-picture').first.focus()
    page.keyboard.press('ArrowRight')
    page.keyboard.press('ArrowUp')
    assert attribute(page, '.avnb', 'data-answers', lambda v: v == 'sound')
    page.keyboard.press('l')
    attribute(page, '.avnb', 'data-lock', bool)
    page.keyboard.press('Space')
    attribute(page, '.avnb', 'data-frame', lambda v: int(v) > 4)
    page.keyboard.press('Space')
    page.keyboard.press('Escape')
    page.locator('.avnb-sound').first.focus()
    page.keyboard.press('ArrowDown')
    attribute(page, '.avnb', 'data-answers', lambda v: v == 'picture')
    title, button = (
        page.locator('.avnb h3').first.inner_text(),
        page.locator('.avnb-picker .widget-vbox button').nth(2),
    )  # another clip, and on from there
    button.focus()
    page.keyboard.press('Enter')
    page.wait_for_function('t => document.querySelector(".avnb h3").textContent !== t', arg=title)
    page.wait_for_function(
        'document.querySelectorAll(".avnb-picker .widget-vbox button")[2].classList.contains("mod-primary")'
    )
    assert button.evaluate('e => e === document.activeElement')


@pytest.mark.slow
def test_every_other_control(page, lab):
    run(
        lab,
        page,
        'controls.ipynb',
        'from avnb.network import Network\nm = Network.open(); n = m.untrained()',
        'e = AttentionExplorer({"a": m, "b": n, "c": m}, first=4, out="films"); e',
    )
    root = page.locator('.avnb').first
    view = lambda: root.evaluate('e => e.avnb.view')
    pixels = """() => { const c = document.querySelector(".avnb-picture"),
        d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data; let s = 0;
        for (let i = 0; i < d.length; i += 97) s = (s * 31 + d[i]) % 1e9; return s }"""
    assert root.evaluate('e => e.avnb.panels.map(p => p.label)') == ['a', 'b', 'c']
    page.locator('.widget-select-multiple select').select_option(['b', 'c'])
    page.wait_for_function('document.querySelector(".avnb").avnb.panels.map(p => p.label).join() === "b,c"')
    for name, value in dict(colour='cividis', per='all', opacity='0.3').items():
        was = page.evaluate(pixels)
        control = page.locator(f'[data-view={name}]').first
        if name == 'opacity':
            control.fill(value)
        else:
            control.select_option(value)
        page.wait_for_function(f'was => ({pixels})() !== was', arg=was)
        assert str(view()[name]) == value
    page.locator('[data-view=contours]').first.check()
    page.locator('[data-view=loop]').first.uncheck()
    page.locator('[data-view=volume]').first.fill('0.2')
    page.locator('[data-view=speed]').first.select_option('2')
    assert root.evaluate('e => [e.avnb.sound.playbackRate, e.avnb.sound.volume]') == [2, 0.2]
    page.locator('.avnb-play').first.click()
    page.wait_for_function('document.querySelector(".avnb").avnb.sound.ended')
    assert state(root)['playing'] == 'false'  # no loop: it stops at the end
    wave = page.locator('.avnb-wave').first
    wave.scroll_into_view_if_needed()
    b = wave.bounding_box()  # drag a stretch
    page.mouse.move(b['x'] + 0.4 * b['width'], b['y'] + 10)
    page.mouse.down()
    page.mouse.move(b['x'] + 0.7 * b['width'], b['y'] + 10, steps=4)
    page.mouse.up()
    a, z = root.evaluate('e => e.avnb.stretch()')
    assert 0.4 < a < z < 1.7 and view()['loop'] and page.locator('[data-view=loop]').first.is_checked()
    for how, label, says in (('noise', 'louder by', 'noise, +0 dB'), ('shifted in time', 'later by', '+0.5 s later')):
        pick(page, 'what if', how)
        text(page, '.avnb h4', says)
        assert page.get_by_text(label, exact=True).is_visible()
    pick(page, 'what if', 'own sound')
    page.wait_for_function('document.querySelector(".avnb").avnb.sounds.length === 1')
    page.locator('input[placeholder="class or name"]').fill('stripes')
    page.wait_for_function(
        """[...document.querySelectorAll(".avnb-picker .widget-vbox .widget-button")].every(b =>
            b.textContent.includes("stripes"))"""
    )
    page.locator('.avnb-explorer').first.get_by_role('button', name='film (MP4)').click()
    text(page, '.avnb-saved', '.mp4', 120_000)
    from avnb.media import probe

    (film,) = (lab.root / 'films').glob('*.mp4')
    assert probe(film)['audio_codec'] == 'aac'
    with page.expect_download() as d:
        page.locator('.avnb-png').first.click()
    assert d.value.suggested_filename.endswith('.png') and not page.errors


@pytest.mark.slow
def test_dark_theme(page, lab):
    run(lab, page, 'dark.ipynb', 'AttentionExplorer(first=4)')
    mean = lambda: page.locator('.avnb').first.evaluate(
        """e => { const c = s => s.match(/[\\d.]+/g).slice(0, 3).reduce((a, b) => a + +b, 0) / 765,
            s = getComputedStyle(e); return [c(s.color), c(s.backgroundColor), c(e.avnb.ink)] }"""
    )
    ink, paper, canvas = mean()
    assert paper - ink > 0.7 and canvas == ink
    lab.theme(page)
    page.wait_for_function(
        'document.querySelector(".avnb").avnb.ink === getComputedStyle(document.querySelector(".avnb")).color'
    )
    ink, paper, canvas = mean()
    assert ink - paper > 0.6 and canvas == ink


@pytest.mark.slow
def test_film_and_page_of_what_is_shown(page, lab, browser):
    run(
        lab,
        page,
        'save.ipynb',
        'e = AttentionExplorer(first=4, contours=True); e.controls.how.value = "shift"; e',
        'a, b = e.save_mp4("out/a.mp4"), e.save_html("out/a.html"); print(e.save_html().name, e.save_html().name)',
    )
    from avnb.media import probe

    film = probe(lab.root / 'out' / 'a.mp4')
    assert film['audio_codec'] == 'aac' and abs(film['duration_s'] - 2) < 0.2
    row = clips_to_show(ROOT / 'data_samples').where(split='test').row(4)
    title = f'{row["label"]}_{row["id"]}'
    assert page.locator('.jp-OutputArea-output pre').last.inner_text().split() == [f'{title}.html', f'{title}-2.html']
    with browser.new_context() as context:
        other = new_page(context)
        other.goto((lab.root / 'out' / 'a.html').as_uri())
        attribute(other, '.avnb', 'data-ready')
        assert other.locator('.avnb').evaluate('e => [e.avnb.panels.length, e.avnb.view.contours]') == [2, True]
        point(other, 'picture', 0.5, 0.5, 1)
        attribute(other, '.avnb', 'data-answers', lambda v: v == 'sound sound')
        assert not other.errors


@pytest.mark.slow
def test_real_files_that_browsers_do_not_play(page, real_data, tmp_path, monkeypatch):
    import csv

    from avnb.attention_explorer import AttentionExplorer

    monkeypatch.setenv('AVNB_CACHE', str(tmp_path / 'cache'))
    some = 'empty', 'hevc', '3gp', 'av1-video', 'indeo4', 'SAR', 'segment001', 'text-not'
    rows = [r for r in csv.DictReader(open(real_data / 'odd.csv')) if any(t in r['file'] for t in some)]
    e = AttentionExplorer(None, [real_data / r['file'] for r in rows])
    for i, r in enumerate(rows):
        e.look_at(i)
        s = e.player.scene
        if r['expect'] == 'error':
            assert not s and 'cannot be shown' in e.status.value
            continue
        assert set(s['panels'][0]['video']) == ({'alone', 'guided'} if r['expect'] == 'read' else {'alone'})
        page.goto(e.save_html(tmp_path / f'{i}.html').as_uri())
        attribute(page, '.avnb', 'data-ready')
        page.locator('.avnb-play').click()
        attribute(page, '.avnb', 'data-frame', lambda v: int(v) > 8)
    assert not page.errors and len(list((tmp_path / 'cache').iterdir())) >= 5


@pytest.mark.slow
@pytest.mark.parametrize(
    'name, shown',
    [('attention', '.avnb[data-frame]'), ('noise', '.avnb-card img'), ('run', '[data-kind=curves][data-steps]')],
)
def test_notebooks_on_real_recordings(page, lab, real_data, name, shown):
    lab.open(page, f'nbs/widgets/{name}.ipynb', first=[f'import os; os.environ["AVNB_REAL_DATA"] = {str(real_data)!r}'])
    lab.run_all(page)
    page.locator(shown).first.wait_for(timeout=180_000)
    assert not page.errors
    if name == 'run':
        page.wait_for_function(
            "document.querySelector('table[data-kind=runs]').innerText.includes('done')", timeout=300_000
        )

"The player's arithmetic, run in the browser it is meant for, against numpy; and the page that plays without a kernel."

import numpy as np
import pytest
from lab import attribute, browser, page  # noqa: F401 (fixtures)

from avnb.map_metrics import resample
from avnb.media import Clip
from avnb.player import (
    Player,
    color_table,
    make_panel,
    make_scene,
    pack_embeddings,
    pack_map,
    player_page,
    static,
    unpack_map,
)
from avnb.plots import fit_maps, hz_ticks


@pytest.fixture
def js(page):
    "Call a function of player_arithmetic.js: js('range', x). Arrays arrive as Float32Array, NaN as null."
    page.set_content('<body></body>')
    page.evaluate(
        """text => import(URL.createObjectURL(new Blob([text], {type: 'text/javascript'})))
            .then(m => { window.m = m })""",
        static('player_arithmetic.js'),
    )

    def call(name, *args):
        plain = [
            dict(floats=[None if v != v else float(v) for v in a.ravel()])
            if isinstance(a, np.ndarray) and a.dtype.kind == 'f'
            else dict(ints=a.ravel().tolist())
            if isinstance(a, np.ndarray)
            else a
            for a in args
        ]
        return page.evaluate(
            """([name, args]) => {
            const back = args.map(a => a && a.floats ? Float32Array.from(a.floats, v => v === null ? NaN : v)
                : a && a.ints ? Int8Array.from(a.ints) : a);
            const r = m[name](...back);
            return ArrayBuffer.isView(r) ? Array.from(r, v => Number.isNaN(v) ? null : v) : r }""",
            [name, plain],
        )

    return call


def numbers(x):
    return np.array([np.nan if v is None else v for v in x], float)


def test_maps_survive_the_way(js, rng=np.random.default_rng(0)):
    x = rng.normal(size=(3, 4, 5))
    x[0, 1, 2] = np.nan
    m = pack_map(x)
    m['data'] = dict(base64=__import__('base64').b64encode(m['data']).decode())
    got = numbers(js('unpack', m)).reshape(x.shape)
    assert (
        np.allclose(got, unpack_map(pack_map(x)), atol=1e-5, equal_nan=True)
        and np.isnan(got[0, 1, 2])
        and np.isnan(got).sum() == 1
    )


@pytest.mark.parametrize('h, w, H, W', [(8, 8, 64, 64), (14, 14, 100, 70), (1, 16, 9, 64), (7, 5, 7, 5), (9, 9, 3, 4)])
def test_enlarge_is_what_the_plots_do(js, h, w, H, W):
    x = np.random.default_rng(h).normal(size=(h, w)).astype(np.float32)
    assert np.allclose(numbers(js('enlarge', x, h, w, H, W)).reshape(H, W), fit_maps(x[None], 1, H, W)[0], atol=1e-5)


def test_enlarge_leaves_holes_open(js):
    x = np.ones((4, 4), np.float32)
    x[1, 1] = np.nan
    got = numbers(js('enlarge', x, 4, 4, 16, 16)).reshape(16, 16)
    assert np.isnan(got[4:8, 4:8]).all() and np.isfinite(got[12:, 12:]).all() and np.allclose(got[np.isfinite(got)], 1)


def test_time_between_maps_is_what_localization_does(js):
    x = np.random.default_rng(1).random(10).astype(np.float32)
    for t in np.random.default_rng(2).random(20) * 2:
        i, j, part = js('place', float(t), 2, 10)
        n = 2000
        k = min(int(t / 2 * n), n - 1)
        want = resample(x, n)[k]
        assert abs(x[i] * (1 - part) + x[j] * part - want) < 0.01
        assert np.allclose(js('blend', x, 1, [i, j, part]), x[i] * (1 - part) + x[j] * part, atol=1e-6)
    assert [js('moment', t, 2, 10) for t in (0, 0.19, 0.21, 1.99, 2, 9)] == [0, 0, 1, 9, 9, 9]


def test_cosines(js):
    x = np.random.default_rng(3).normal(size=(40, 128))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    p = pack_embeddings(x)
    q = np.frombuffer(p['data'], np.int8).reshape(40, 128)
    got = numbers(js('cosines', q[5], q, p['scale'] ** 2))
    assert np.allclose(got, x @ x[5], atol=0.01) and js('argmax', got.astype(np.float32)) == 5


def test_scales(js):
    x = np.array([2.0, 4.0, 3.0, np.nan], np.float32)
    assert (
        js('range', x) == [2, 4]
        and np.allclose(numbers(js('rescale', x, 2, 4))[:3], [0, 1, 0.5])
        and js('rescale', x, 2, 4)[3] is None
    )
    assert js('rescale', np.ones(3, np.float32), 1, 1) == [0, 0, 0], 'a flat map has no highest place'
    assert np.allclose(js('rescaleSigned', np.array([-2.0, 0, 1], np.float32), 2), [-1, 0, 0.5])
    assert np.isnan(numbers(js('range', np.full(3, np.nan, np.float32)))).all()


def test_colours(js, page):
    lut = list(color_table('inferno'))
    got = page.evaluate(
        """([lut, v]) => Array.from(m.toPixels(Float32Array.from(v, x => x ?? NaN), 4, Uint8Array.from(lut), 0.8,
            false, new Uint8ClampedArray(16)))""",
        [lut, [0, 0.5, 1, None]],
    )
    assert got[0:3] == lut[:3] and got[4:7] == lut[128 * 3 : 128 * 3 + 3] and got[8:11] == lut[255 * 3 :]
    assert got[3] < got[7] < got[11] == round(255 * 0.8) and got[15] == 110 and got[12] == got[13] == got[14]
    signed = page.evaluate(
        """lut => Array.from(m.toPixels(Float32Array.of(-1, 0, 1), 3, Uint8Array.from(lut), 1, true,
            new Uint8ClampedArray(12)))""",
        list(color_table('PuOr_r')),
    )
    assert (
        signed[3] == 255 and signed[7] == 0 and signed[11] == 255 and signed[2] > signed[0] and signed[8] > signed[10]
    ), 'less is purple, none is clear, more is orange'


def test_contour_is_where_the_level_is(js):
    y, x = np.mgrid[:20, :20] + 0.5
    cone = (1 - np.hypot(x - 10, y - 10) / 10).astype(np.float32)
    lines = np.array(js('contour', cone, 20, 20, 0.5))
    ends = lines.reshape(-1, 2)
    radius = np.hypot(ends[:, 0] - 10, ends[:, 1] - 10)
    assert np.abs(radius - 5).max() < 0.15 and len(lines) > 20
    _, count = np.unique(np.round(ends, 4), axis=0, return_counts=True)
    assert (count == 2).all(), 'a closed line'
    hole = cone.copy()
    hole[10, 10] = np.nan
    assert len(js('contour', hole, 20, 20, 0.95)) == 0
    assert (
        js('contour', np.array([1, 0, 0, 1], np.float32), 2, 2, 0.5)
        and js('contour', np.ones(4, np.float32), 2, 2, 0.5) == []
    )


def test_axes(js):
    hz = [50.0, 100.0, 200.0, 400.0, 800.0, 1600.0, 3200.0, 6400.0]
    for f in (60, 150, 399, 1000, 6000):
        assert abs(js('rowOf', hz, f) - np.interp(f, hz, range(8))) < 1e-9
    assert js('rowOf', hz, 1e5) == 7.5
    lo, hi = js('cellHz', hz, 0, 4)
    assert lo <= 60 and 100 < hi < 200
    from avnb.views import AudioView

    for view in (AudioView(16000, 1.0), AudioView(24000, 2.0, 'linear')):
        rows, labels = hz_ticks(view.hz)
        got = js('hzTicks', [float(f) for f in view.hz])
        assert [t for _, t in got] == labels and np.allclose([r for r, _ in got], rows, atol=0.01)
    assert (
        js('timeTicks', 0, 2) == [0, 0.5, 1, 1.5, 2]
        and js('timeTicks', 590.2, 10)[0] == 592
        and js('sayHz', 440) == '440 Hz'
        and js('sayHz', 1234) == '1.2 kHz'
    )


def test_checksum_sees_every_cell(js):
    x = np.random.default_rng(4).random(30).astype(np.float32)
    a = js('checksum', x)
    for i in (0, 13, 29):
        y = x.copy()
        y[i] += 0.01
        assert js('checksum', y) != a
    y = x.copy()
    y[3] = np.nan
    assert js('checksum', y) != a == js('checksum', x)


# -- the page ----------------------------------------------------------------------------------------------------------


def a_scene(title='a clip', seconds=2.0, fps=30.0, has_audio=True, frames=None, size=(96, 128), **more):
    "A made-up clip with known answers: the embedding of patch (r, c) at moment n is that of the sound's cell (n, c)."
    n, h, w, F = 8, 6, 8, 8
    eye = np.eye(16)
    video = np.broadcast_to(eye[:w][None, None], (n, h, w, 16))
    audio = np.broadcast_to(eye[:F][None], (n, F, 16))
    rng = np.random.default_rng(0)
    t = np.arange(int(seconds * 16000)) / 16000
    x = rng.integers(0, 255, (max(1, int(seconds * fps)) if frames is None else frames, *size, 3), dtype=np.uint8)
    clip = Clip(
        x, (0.3 * np.sin(2 * np.pi * 440 * t)).astype(np.float32), fps, 16000, 0.0, 'x', 'x', has_audio=has_audio
    )
    maps = rng.random((n, h, w))
    ramps = np.tile(np.arange(F, dtype=float), (n, 1))
    panel = make_panel(
        '', dict(alone=maps, guided=maps[::-1]), dict(alone=ramps, guided=ramps[:, ::-1]), (video, audio)
    )
    return make_scene(clip, [panel], title=title, **more)


def open_page(page, tmp_path, scene, **view):
    "The scene's page, opened from a file, ready."
    path = tmp_path / 'page.html'
    path.write_text(player_page(scene, view), encoding='utf-8')
    page.goto(path.as_uri())
    attribute(page, '.avnb', 'data-ready')
    return page.locator('.avnb')


def point(page, kind, x, y, panel=0):
    "Put the mouse at fractions of the map of a panel's picture or spectrogram."
    canvas = page.locator(f'.avnb-{kind}').nth(panel)
    canvas.scroll_into_view_if_needed()
    at = canvas.bounding_box()
    b = canvas.evaluate(
        '(e, [k, i]) => { const v = e.closest(".avnb").avnb; return v.boxOf(v.panels[i], k) }', [kind, panel]
    )
    page.mouse.move(at['x'] + b['x'] + x * b['w'], at['y'] + b['y'] + y * b['h'])


def test_page_plays_and_answers_without_a_kernel(page, tmp_path):
    asked = []
    page.on('request', lambda r: asked.append(r.url))
    player = Player(a_scene(), contours=True)
    path = player.save_html(tmp_path / 'page.html')
    assert '<script src' not in path.read_text()
    root = open_page(page, tmp_path, player.scene, contours=True)
    point(page, 'picture', (3 + 0.5) / 8, 0.5)  # column 3 answers in frequency cell 3
    assert attribute(page, '.avnb', 'data-answers', lambda v: v == 'sound')
    assert (
        'column 4 of 8' in page.locator('.avnb-answer').inner_text()
        and 'cosine 1.00' in page.locator('.avnb-answer').inner_text()
    )
    answer = root.evaluate('e => Array.from(e.avnb.panels[0].answer.x)')
    assert np.allclose(np.reshape(answer, (8, 8)), np.eye(8)[3][None].repeat(8, 0), atol=0.01)
    point(page, 'sound', 0.5, 1 - (6 + 0.5) / 8)  # frequency cell 6 answers in column 6
    attribute(page, '.avnb', 'data-answers', lambda v: v == 'picture')
    drawn = root.evaluate('e => Array.from(e.avnb.panels[0].picture.v)')
    assert np.allclose(np.reshape(drawn, (6, 8)), np.eye(8)[6][None].repeat(6, 0), atol=0.01)
    page.locator('.avnb-play').click()
    attribute(page, '.avnb', 'data-frame', lambda v: int(v) >= 20)
    assert not page.errors and not [u for u in asked if not u.startswith(('file:', 'blob:', 'data:'))]


def test_names_are_never_html(page, tmp_path):
    evil = '<img src=x onerror="window.hit=1"></script><script>window.hit=1</script>'
    scene = a_scene(
        evil,
        notes=[evil],
        sources=[dict(kind=evil, sounding=True, boxes=[[0.1, 0.1, 0.5, 0.5]], band=[200.0, 800.0], active=[[0, 1]])],
    )
    scene['panels'][0] |= dict(label=evil, note=evil, unit=evil)
    scene['panels'][0]['video'][evil] = scene['panels'][0]['video']['alone']
    root = open_page(page, tmp_path, scene)
    point(page, 'picture', 0.5, 0.5)
    svg = root.evaluate('e => e.avnb.svg()')
    assert (
        page.locator('.avnb h3').inner_text() == evil
        and page.locator('.avnb img, .avnb script').count() == 0
        and '<img' not in svg
        and '<script' not in svg
    )
    assert page.evaluate('window.hit') is None and not page.errors


def test_saving_from_the_page(page, tmp_path):
    open_page(page, tmp_path, a_scene('a/b: c'), contours=True)
    with page.expect_download() as d:
        page.locator('.avnb-png').click()
    assert d.value.suggested_filename == 'a_b_c.png'
    from PIL import Image

    image = np.asarray(Image.open(d.value.path()).convert('RGB'))
    assert min(image.shape[:2]) > 300 and image.std() > 20
    with page.expect_download() as d:
        page.locator('.avnb-svg').click()
    from xml.etree import ElementTree

    tree = ElementTree.parse(d.value.path())
    tags = [e.tag.split('}')[1] for e in tree.iter()]
    assert (
        tags.count('image') == 3
        and tags.count('line') > 10
        and {'frequency (Hz)', 'time (s)', '0.5'} <= {e.text for e in tree.iter() if e.tag.endswith('text')}
    )


def test_one_frame_and_silence(page, tmp_path):
    open_page(page, tmp_path, a_scene(frames=1, seconds=1.0))
    page.locator('.avnb-on').click()
    assert attribute(page, '.avnb', 'data-frame') == '0'
    scene = a_scene(has_audio=False)
    scene['panels'][0]['audio'] = {}
    open_page(page, tmp_path, scene)
    page.locator('.avnb-play').click()
    attribute(page, '.avnb', 'data-frame', lambda v: int(v) > 5)
    assert not page.errors


def test_maps_without_a_value(page, tmp_path):
    scene = a_scene()
    nothing = np.full((8, 6, 8), np.nan)
    some = np.random.default_rng(0).random((8, 6, 8))
    some[:, 2] = np.nan
    scene['panels'] = [make_panel('none', dict(guided=nothing)), make_panel('some', dict(guided=some))]
    root = open_page(page, tmp_path, scene)
    assert page.locator('.avnb-bar[data-kind=picture] .avnb-lo').first.inner_text() == 'no value'
    for per in ('frame', 'clip', 'all'):
        root.evaluate('(e, per) => e.avnb.set("per", per)', per)
        page.locator('.avnb-on').click()
    assert 'no value' not in page.locator('.avnb-bar[data-kind=picture]').nth(1).inner_text(), (
        'a map without a value leaves the others their scale'
    )
    assert not page.errors


def test_one_scale_over_panels(page, tmp_path):
    scene = a_scene()
    x = np.random.default_rng(0).random((8, 6, 8))
    scene['panels'] = [
        make_panel('a', dict(guided=x), dict(guided=x[:, 0])),
        make_panel('b', dict(guided=3 * x), dict(guided=3 * x[:, 0])),
    ]
    root = open_page(page, tmp_path, scene)
    most = lambda kind: root.evaluate('(e, k) => e.avnb.panels.map(p => Math.max(...p[k].v))', kind)
    a, b = most('picture')
    assert abs(a - b) < 0.02 and abs(np.subtract(*most('heard'))) < 0.02
    page.locator('[data-view=per]').select_option('over all panels')
    a, b = most('picture')
    assert abs(b / a - 3) < 0.1 and abs(most('heard')[0] - 1 / 3) < 0.02
    assert len(set(page.locator('.avnb-bar[data-kind=picture] .avnb-hi').all_inner_texts())) == 1
    arrows = lambda *s: (lambda v: v / np.linalg.norm(v, axis=-1, keepdims=True))(
        np.random.default_rng(sum(s)).normal(size=(*s, 16))
    )
    for p, (a, b) in zip(
        scene['panels'],
        (
            (np.broadcast_to(np.eye(16)[:8], (8, 6, 8, 16)), np.broadcast_to(np.eye(16)[:8], (8, 8, 16))),
            (arrows(8, 6, 8), arrows(8, 8)),
        ),
    ):
        p |= dict(local=make_panel(local=(a, b))['local'])
    root = open_page(page, tmp_path, scene)
    point(page, 'picture', 0.5, 0.5)
    tops = lambda: page.locator('.avnb-bar[data-kind=sound] .avnb-hi').all_inner_texts()
    assert len(set(tops())) == 2  # answers as well
    root.evaluate('e => e.avnb.set("per", "all")')
    assert tops() == ['1.00', '1.00'] and not page.errors


def test_bare_clip_and_sound_alone(page, tmp_path):
    open_page(
        page,
        tmp_path,
        make_scene(Clip(np.zeros((0, 0, 0, 3), np.uint8), np.zeros(16000, np.float32), 30.0, 16000, 0.0, 'x', 'x')),
    )
    assert page.locator('.avnb-stage').is_hidden() and page.locator('.avnb-sound').is_visible()
    page.locator('.avnb-play').click()
    attribute(page, '.avnb', 'data-time', lambda v: float(v) > 0.3)
    assert not page.errors


def test_loop_of_a_stretch(page, tmp_path):
    root = open_page(page, tmp_path, a_scene(), **{'from': 0.5, 'to': 1.0})
    page.locator('.avnb-play').click()
    root.evaluate("""e => new Promise(done => { const v = e.avnb, seen = []; let turns = 0, last = 0;
        const look = () => { seen.push(v.sound.currentTime); if (v.sound.currentTime < last - .2) turns++;
        last = v.sound.currentTime; window.seen = seen; turns >= 2 ? done() : requestAnimationFrame(look) };
        requestAnimationFrame(look) })""")
    seen = page.evaluate('window.seen')
    assert max(seen[3:]) < 1.15 and min(seen[3:]) > 0.4


def test_another_clip_takes_over_no_stretch_and_no_lock(page, tmp_path):
    "A held cell and a loop belong to their clip; with another sound of that clip both stay, and the answers are new."
    root = open_page(page, tmp_path, a_scene(seconds=4.0))
    root.evaluate(
        """e => { const v = e.avnb; v.seek(3.2); v.set("from", 3); v.set("to", 3.6);
            v.point(v.target("picture", 0, .5, .5)); v.hold() }"""
    )
    root.evaluate('e => { e.avnb.load() }')
    attribute(page, '.avnb', 'data-answers', lambda v: v == 'sound')
    assert root.evaluate('e => e.avnb.stretch()') == [3, 3.6] and root.get_attribute('data-lock')
    root.evaluate(
        """e => { const m = e.avnb.model, s = m.get('scene');
            m.set('scene', {...s, title: 'another', seconds: 2}); e.avnb.load() }"""
    )
    assert (
        root.evaluate('e => [e.avnb.stretch(), e.avnb.view.from, e.avnb.model.get("view").to]') == [[0, 2], None, None]
        and root.get_attribute('data-lock') == ''
        and root.get_attribute('data-answers') == ''
    )
    page.locator('.avnb-play').click()
    attribute(page, '.avnb', 'data-frame', lambda v: int(v) > 3)
    assert not page.errors


def test_another_sound_stays_where_it_was_whatever_its_first_frame_says(page, tmp_path):
    "A new medium may show its first frame before its length is known: that is not where the player stands."
    root = open_page(page, tmp_path, a_scene())
    root.evaluate('e => e.avnb.seek(1.21)')
    root.evaluate('e => { const v = e.avnb; v.load(); v.looked(v.sound, 0) }')
    page.wait_for_function(
        """(v => v.sound.begun !== false && v.sound.readyState >= 2 &&
            !v.sound.seeking)(document.querySelector(".avnb").avnb)"""
    )
    assert root.evaluate('e => [e.avnb.time, e.avnb.sound.currentTime, e.avnb.frame]') == [1.21, 1.21, 36]
    root.evaluate(
        """e => { const v = e.avnb, s = v.model.get('scene');
            v.model.set('scene', {...s, media: [s.media[0], s.media[0]], sounds: [s.sounds[0], s.sounds[0]]});
            v.load() }"""
    )
    page.wait_for_function('document.querySelector(".avnb").avnb.media.every(m => m.readyState >= 2)')
    root.evaluate('e => { e.avnb.set("hear", 1); e.avnb.play() }')
    attribute(page, '.avnb', 'data-frame', lambda v: int(v) > 40)
    assert not page.errors  # the other one, chosen later, moves the picture as well


def test_a_click_holds_and_a_click_lets_go(page, tmp_path):
    root = open_page(page, tmp_path, a_scene())
    point(page, 'picture', 0.3, 0.5)
    page.mouse.down()
    page.mouse.up()
    assert (
        root.get_attribute('data-lock') == 'picture 0.00'
        and root.evaluate('e => e.avnb.model.get("lock").kind') == 'picture'
    )
    held = page.locator('.avnb-answer').inner_text()
    point(page, 'sound', 0.6, 0.5)
    assert page.locator('.avnb-answer').inner_text() == held and root.get_attribute('data-answers') == 'sound'
    page.mouse.down()
    page.mouse.up()
    assert (
        root.get_attribute('data-lock') == '' and root.get_attribute('data-answers') == 'picture'
    )  # lets go, and what lies under the mouse answers
    page.mouse.down()
    page.mouse.up()
    assert root.get_attribute('data-lock').startswith('sound')
    edge = page.locator('.avnb-sound').bounding_box()
    page.mouse.click(edge['x'] + 3, edge['y'] + 3)
    assert root.get_attribute('data-lock').startswith('sound')  # beside the map: nothing


def test_a_scene_says_which_of_its_sounds_is_heard_first(page, tmp_path):
    root = open_page(page, tmp_path, a_scene())
    change = """(e, more) => { const v = e.avnb, s = v.model.get('scene');
        v.model.set('scene', {...s, media: [s.media[0], s.media[0]],
        sounds: [s.sounds[0], {...s.sounds[0], label: 'other'}], ...more}); v.load() }"""
    root.evaluate(change, dict(hear=1))
    assert (
        root.evaluate('e => [e.avnb.ear, e.avnb.view.hear, e.avnb.sound === e.avnb.media[1]]') == [1, 1, True]
        and page.locator('[data-view=hear]').input_value() == '1'
    )
    root.evaluate(change, {})
    assert root.evaluate('e => e.avnb.ear') == 1  # says nothing: it stays
    page.locator('[data-view=hear]').select_option('0')
    root.evaluate(change, dict(hear=0))
    assert root.evaluate('e => e.avnb.ear') == 0


def test_a_poster_that_comes_late_is_not_shown_over_another_clip(page, tmp_path):
    root = open_page(page, tmp_path, a_scene(size=(96, 128)))
    root.evaluate("""e => { window.posters = []; const made = window.Image;
        window.Image = function () { const i = new made(); window.posters.push(i); return i };
        const v = e.avnb; v.load(); v.model.set('scene', {...v.model.get('scene'), title: 'two', poster: {base64: ''}});
        v.load() }""")
    page.wait_for_function('window.posters.length === 1 && window.posters[0].complete')
    assert root.evaluate('e => [e.avnb.scene.title, e.avnb.poster]') == ['two', None]
    root.evaluate('e => { const v = e.avnb; v.load() }')
    attribute(page, '.avnb', 'data-ready')
    assert not page.errors


def test_words_follow_the_moment_and_the_slider_follows_the_keys(page, tmp_path):
    scene = a_scene()
    rng = np.random.default_rng(1)
    arrows = lambda *s: (lambda x: x / np.linalg.norm(x, axis=-1, keepdims=True))(rng.normal(size=(*s, 16)))
    scene['panels'] = [
        make_panel(
            '', dict(guided=rng.random((8, 6, 8))), dict(guided=rng.random((8, 8))), (arrows(8, 6, 8), arrows(8, 8))
        )
    ]
    root = open_page(page, tmp_path, scene)
    root.evaluate('e => { const v = e.avnb; v.point(v.target("sound", 0, .5, .5)); v.hold() }')
    said = set()
    for t in (0.1, 0.6, 1.1, 1.6):
        root.evaluate('(e, t) => e.avnb.seek(t)', t)
        hot = root.evaluate('e => { const v = e.avnb.panels[0].picture.v; return v.indexOf(Math.max(...v)) }')
        words = page.locator('.avnb-answer').inner_text()
        said.add(words)
        assert f'row {hot // 8 + 1}, column {hot % 8 + 1},' in words
    assert len(said) > 1
    scrub = page.locator('.avnb-scrub')
    scrub.focus()
    page.keyboard.press('Home')
    for _ in range(5):
        page.keyboard.press('.')
    assert (
        attribute(page, '.avnb', 'data-frame', lambda v: v == '5') and abs(float(scrub.input_value()) - 5.5 / 30) < 0.02
    )


def test_a_pause_at_once_is_no_trouble(page, tmp_path):
    root = open_page(page, tmp_path, a_scene())
    for _ in range(3):
        root.evaluate('e => { const v = e.avnb; v.seek(.5); v.play(); v.pause() }')
    page.locator('.avnb-play').click()
    attribute(page, '.avnb', 'data-frame', lambda v: int(v) > 20)
    assert page.locator('.avnb-trouble').count() == 0
    root.evaluate('e => { e.avnb.pause(); e.avnb.note("something") }')
    page.locator('.avnb-play').click()
    page.wait_for_function('!document.querySelector(".avnb-trouble")')


def test_keys_of_the_loop(page, tmp_path):
    root = open_page(page, tmp_path, a_scene())
    page.locator('.avnb-picture').focus()
    loop = lambda: root.evaluate('e => e.avnb.stretch()')
    root.evaluate('e => e.avnb.seek(.5)')
    page.keyboard.press('[')
    root.evaluate('e => e.avnb.seek(1)')
    page.keyboard.press(']')
    assert loop() == [0.5, 1]
    page.keyboard.press('o')
    assert loop() == [0, 2]
    page.keyboard.press('Space')
    attribute(page, '.avnb', 'data-frame', lambda v: int(v) > 33)
    assert not page.errors


def test_reduced_motion_and_themes(browser, tmp_path):
    from lab import new_page

    paper = []
    for scheme in ('light', 'dark'):
        with browser.new_context(color_scheme=scheme, reduced_motion='reduce') as context:
            p = new_page(context)
            root = open_page(p, tmp_path, a_scene())
            assert p.locator('.avnb-play').evaluate(
                'e => getComputedStyle(e).transitionDuration'
            ) == '0s' and root.evaluate('e => e.avnb.calm.matches')
            p.locator('.avnb-play').click()
            attribute(p, '.avnb', 'data-frame', lambda v: int(v) > 5)
            paper.append(
                root.evaluate(
                    """e => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor].map(
                        c => c.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0) / 765)"""
                )
            )
    (ink, light), (pale, dark) = paper
    assert light - ink > 0.7 and pale - dark > 0.6, 'text stands out from its ground in both'

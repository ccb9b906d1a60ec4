"""What is said of the whole frame meets pixels of the square in its middle: boxes, truths and maps go through the same
cut, from files and from packed sets, wide and tall; and through the same clock, wherever a clip begins and whatever it
is heard with."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st
from toys import config

from avnb.clips import ClipDataset, boxes_in, crop_note
from avnb.evaluate import prepare_task
from avnb.features import window_batches
from avnb.index import index_folder
from avnb.localization import AttentionMonitor, Tally, _visible_sources, localization_scores
from avnb.manifest import Manifest, inject_noise
from avnb.map_metrics import LocalizationError, box_mask
from avnb.media import Clip, write_clip
from avnb.network import Network
from avnb.packed import WHOLE, ClipError, adopt, middle_square, pack, square_area
from avnb.protocols import EvalConfig, evaluation_parts
from avnb.published_boxes import SIDE as BOX_SIDE, boxed_rows, localization_protocol, seen_boxes, truth_map
from avnb.truth import box_at, clip_truth, in_view, read_truth, sounding_sources, truth_of_rows

sides = st.integers(1, 90)
corners = st.floats(-0.2, 1.2, allow_nan=False).flatmap(lambda a: st.floats(a, 1.2).map(lambda b: (a, b)))


# -- one function
# -------------------------------------------------------------------------------------------------------


def mask_of(box, height, width):
    "Pixels whose centre lies in a box, by hand."
    inside = [
        [box[0] <= (x + 0.5) / width < box[2] and box[1] <= (y + 0.5) / height < box[3] for x in range(width)]
        for y in range(height)
    ]
    return np.array(inside, bool).reshape(height, width)


@given(sides, sides, corners, corners)
def test_a_box_and_its_pixels_are_cut_alike(height, width, x, y):
    "A mask of the whole frame, cut as the frame is, is the mask of the box that went through the cut."
    box, frames = [x[0], y[0], x[1], y[1]], np.zeros((1, height, width, 3), np.uint8)
    frames[0, ..., 0] = mask_of(box, height, width)
    square, area = middle_square(Clip(frames, np.zeros(0, np.float32), 1.0, 1, 0.0, '', ''))
    side = min(height, width)
    assert square.frames.shape == (1, side, side, 3) and (area == square_area(height, width)).all()
    cut = boxes_in(box, area, side)
    if np.isnan(cut).all():  # less than a pixel is left, so at most a pixel's width is inside
        inside = square.frames[0, ..., 0].any(0).sum(), square.frames[0, ..., 0].any(1).sum()
        assert min(inside) <= 1
    else:
        assert (cut >= 0).all() and (cut <= 1).all()
        back = cut * np.tile(area[2:] - area[:2], 2) + np.tile(area[:2], 2)  # what was not cut is where it was
        assert np.allclose(back, np.clip(box, np.tile(area[:2], 2), np.tile(area[2:], 2)))
        edge = np.abs(np.array(box) * [width, height, width, height] % 1 - 0.5).min()
        if edge > 1e-6:
            assert (mask_of(cut, side, side) == square.frames[0, ..., 0]).all()


@given(sides, sides)
def test_the_square_is_in_the_middle(height, width):
    x0, y0, x1, y1 = square_area(height, width) * [width, height, width, height]
    assert x1 - x0 == pytest.approx(min(height, width)) == pytest.approx(y1 - y0)
    assert abs(x0 + x1 - width) <= 1 + 1e-9 and abs(y0 + y1 - height) <= 1 + 1e-9
    assert (crop_note(square_area(height, width)) == '') == (height == width)


def test_boxes_without_a_place_are_refused():
    with pytest.raises(ClipError, match='does not say which part of the frame'):
        boxes_in([[0, 0, 1, 1]], [np.nan] * 4, 96)
    assert crop_note(square_area(1080, 1920)) == 'the network sees the middle 56 % of the picture'
    assert np.isnan(boxes_in([[np.nan] * 4, [0.1, 0.1, 0.2, 0.2]], WHOLE, 96)[:, 0]).tolist() == [True, False]


# -- clips with something that moves and sounds
# --------------------------------------------------------------------------

FPS, RATE, SIDE = 16, 4000, 32


def film(height, width, x, y, size=24, frames=32):
    """Frames with a bright, flickering square at (x, y) pixels, one step to the right per frame, and its box in each,
    fractions of the frame."""
    g = np.random.default_rng(height + x)
    pictures = np.tile(g.integers(30, 60, (1, height, width, 3), np.uint8), (frames, 1, 1, 1))
    boxes = []
    for k in range(frames):
        pictures[k, y : y + size, x + k : x + k + size] = 255 - 70 * (k // 2 % 2)
        boxes.append([(x + k) / width, y / height, (x + k + size) / width, (y + size) / height])
    return pictures, boxes


@pytest.fixture(scope='module', params=['wide', 'tall'])
def clips(request, tmp_path_factory):
    """(manifest with published boxes, config, folder): 8 clips of which one shows its thing outside of the square, and
    one is cut by its edge."""
    folder = tmp_path_factory.mktemp(request.param)
    (height, width), table, g = dict(wide=(64, 128), tall=(128, 64))[request.param], [], np.random.default_rng(0)
    room = dict(wide=(24, 34), tall=(0, 34))[request.param]  # so that the thing is inside the square at 1 s
    for k in range(8):
        x = int(g.integers(room[0], room[1] - 8 if request.param == 'wide' else 8))
        y = int(g.integers(*dict(wide=(0, 40), tall=(34, 68))[request.param]))
        if k == 1:
            x, y = dict(wide=(82, 20), tall=(4, 0))[request.param]  # at 1 s: right of the square, or above it
        if k == 2:
            x, y = dict(wide=(64, 20), tall=(4, 22))[request.param]  # across its edge
        pictures, boxes = film(height, width, x, y)
        sound = 0.3 * np.sin(2 * np.pi * (300 + 100 * k) * np.arange(32000) / 16000)
        write_clip(folder / f'{k}.mp4', pictures, sound.astype(np.float32), FPS, 16000, crf=0)
        source = dict(
            kind='square', sounding=True, boxes=boxes, band=[200.0, 1200.0], active=[[0.0, 2.0]], **{'class': 0}
        )
        (folder / 'truth').mkdir(exist_ok=True)
        (folder / 'truth' / f'{k}.json').write_text(json.dumps(dict(id=str(k), fps=FPS, sources=[source])))
        table.append(
            dict(
                boxes=json.dumps([np.round(boxes[16], 6).tolist()]),
                votes='1',
                boxes_at_s='1.0',
                label='ab'[k % 2],
                split='test',
            )
        )
    m = index_folder(folder)
    m = Manifest(folder, m.table.assign(seconds=2.0, **pd.DataFrame(table, m.table.index)))
    m.save(folder / 'manifest.csv', overwrite=True)
    return m, config('', 'unused'), folder


@pytest.fixture(scope='module')
def packs(clips):
    "How the clips can be read: from files (None), from arrays, from shards."
    m, _, folder = clips
    how = dict(seconds=2.0, fps=FPS, size=SIDE, rate=RATE, workers=0)
    return dict(
        files=None,
        raw=pack(m, folder / 'raw', **how),
        shards=pack(m, folder / 'shards', layout='shards', chunk=3, **how),
    )


def bright(frames):
    "Where the moving thing is, bool."
    return np.asarray(frames).mean(0) > 140


def test_batches_know_which_part_they_show(clips, packs):
    "The same area from files, arrays and shards, and the thing's box, taken through it, covers the thing's pixels."
    m, cfg, _ = clips
    known = truth_of_rows(m, read_truth(m.folder))
    for name, packed in packs.items():
        (b,), _ = (list(x) if not isinstance(x, int) else x for x in window_batches(m, cfg, packed, windows=1))
        size = (64, 128) if m.table['width'].iloc[0] == 128 else (128, 64)
        assert np.allclose(b.area.numpy(), square_area(*size), atol=1e-12), name
        tally = Tally()
        for i, r in enumerate(b.index.tolist()):
            sources = _visible_sources(tally, known[r], b, i, cfg)
            there = bright(b.frames[i, :, b.frames.shape[2] // 2])
            assert bool(sources) == (r != 1) and there.any() == bool(sources), (name, r)
            if sources:
                mask = box_mask(sources[0][1] * SIDE, (SIDE, SIDE))
                assert (mask & there).sum() > 0.85 * there.sum() and (mask & there).sum() > 0.6 * mask.sum(), (name, r)
        assert tally.outside == 1


def scores_of(clips, packed, sides=False):
    m, cfg, _ = clips
    s = prepare_task(
        'both', Network.from_config(cfg, seed=1), m, EvalConfig(seeds=0, batch=4), packed=packed, sides=sides
    )
    return localization_protocol(s), s


def test_published_boxes_from_files_and_packed(clips, packs):
    """The whole frame squeezed, or the square with the boxes cut: what moves is found either way; who is out of the
    square is counted and named."""
    (whole, all_of_it), (square, part) = scores_of(clips, None), scores_of(clips, packs['raw'])
    whole, square = whole['pointing_guided'], square['pointing_guided']
    assert min(x.baselines['frame_difference'] for x in (whole, square)) > 0.6
    assert (whole.n, square.n) == (
        8,
        7,
    ) and square.chance > 1.4 * whole.chance  # the same boxes are larger in the square
    assert '1 left out (its boxes lie outside of the part of the frame that is seen)' in part.about['boxes']
    assert list(part.lost['id']) == ['1'] and 'by which boxes are cut' in part.about['boxes']
    assert not len(all_of_it.lost) and 'left out' not in all_of_it.about['boxes']
    shards, square = seen_boxes(part.manifest, packs['shards']), seen_boxes(part.manifest, packs['raw'])
    assert len(shards) == 8 and all((a.xyxy == b.xyxy).all() for a, b in zip(shards, square))


def test_truth_maps_agree_to_the_pixel_grid(clips, packs):
    """The published truth of the whole frame, cut as the pictures are, is the truth of the square, give or take a pixel
    at its edges."""
    m, _, _ = clips
    area, n = packs['raw'].areas([0])[0], 896  # of a frame four times as fine
    for whole, square in zip(seen_boxes(m), seen_boxes(m, packs['raw'])):
        x0, y0, x1, y1 = np.round(area * n).astype(int)
        want = truth_map(whole.xyxy, side=n)[y0:y1, x0:x1]
        rows, columns = ((np.arange(BOX_SIDE) + 0.5) / BOX_SIDE * k for k in want.shape)
        want = want[np.ix_(rows.astype(int), columns.astype(int))]
        got = truth_map(square.xyxy) if len(square.xyxy) else np.zeros_like(want)
        grown = np.pad(got, 1, 'edge')
        near = np.max(
            [grown[1 + dy : 1 + dy + BOX_SIDE, 1 + dx : 1 + dx + BOX_SIDE] for dy in (-1, 0, 1) for dx in (-1, 0, 1)], 0
        )
        assert (want <= near).all() and np.abs(got - want).mean() < 0.02


def test_worlds_from_files_and_packed(clips, packs):
    "The report's own localisation: the same tally either way, to the last bit where the pixels are the same."
    m, cfg, _ = clips
    truth, network = read_truth(m.folder), Network.from_config(cfg, seed=1)
    files, raw, shards = (localization_scores(network, m, truth, packed) for packed in packs.values())
    for k in ('pointing_guided', 'ciou_guided', 'energy_vision_only'):
        assert files[k].baselines['frame_difference'] == raw[k].baselines['frame_difference'], k
        assert abs(files[k].value - raw[k].value) < 0.02 and files[k].n == raw[k].n == shards[k].n == 7
        assert '1 clips left out: what sounds lies outside' in files[k].note == raw[k].note
    for s in (files, raw, shards):
        assert s['pointing_guided'].baselines['frame_difference'] > 0.6


def test_a_packed_set_that_does_not_know(clips, packs, tmp_path, capsys):
    "Somebody's arrays without a word about the frames: no score and a reason; with it, the scores of the packed set."
    m, cfg, _ = clips
    for name in ('frames.u8', 'audio.i16'):
        (tmp_path / name).write_bytes((packs['raw'].folder / name).read_bytes())
    how = dict(seconds=2.0, fps=float(FPS), size=SIDE, rate=RATE)
    mute = adopt(tmp_path, m, **how)
    assert np.isnan(mute.areas([0, 1])).all()
    network, truth = Network.from_config(cfg, seed=1), read_truth(m.folder)
    for attempt in (lambda: scores_of(clips, mute), lambda: localization_scores(network, m, truth, mute)):
        with pytest.raises(ClipError, match='does not say which part of the frame.*whole='):
            attempt()
    state = SimpleNamespace(
        event='epoch', rank=0, cfg=cfg, manifest=m, data=SimpleNamespace(rows=m.rows, packed=mute), model=network.model
    )
    values = AttentionMonitor(4)(state)
    assert (
        'teacher_pointing' not in values
        and 'entropy_video_self' in values
        and 'does not say which part' in capsys.readouterr().out
    )
    knows = adopt(tmp_path, m, **how, whole=packs['raw'].whole)
    assert (
        localization_scores(network, m, truth, knows)['pointing_guided']
        == localization_scores(network, m, truth, packs['raw'])['pointing_guided']
    )
    state.data.packed = knows
    assert AttentionMonitor(8)(state)['outside'] == 1


# -- the clock
# ------------------------------------------------------------------------------------------------------------


def test_a_row_that_begins_later_has_a_later_truth(clips):
    """Rows from 0.5 s on, without their ids changed: boxes where the thing is then, acts on the clip's clock, scores
    that still find what moves."""
    m, cfg, _ = clips
    late = Manifest(m.folder, m.table.assign(start_s=0.5, seconds=1.5))
    known = truth_of_rows(late, read_truth(m.folder))
    (b,), _ = (list(x) if not isinstance(x, int) else x for x in window_batches(late, cfg, None, windows=1))
    t, mid = b.frame_times[:, b.frames.shape[2] // 2].numpy(), b.frames.shape[2] // 2
    for i, r in enumerate(b.index.tolist()):
        found = sounding_sources(in_view(known[r], b, i), float(t[i]), (0.0, 1.0))
        if r in (1, 2):
            continue
        ((_, box, _, acts),) = found
        assert acts == [[-0.5, 1.5]]
        there = bright(b.frames[i, :, mid])
        assert (box_mask(box * SIDE, (SIDE, SIDE)) & there).sum() > 0.85 * there.sum()
    one = clip_truth(
        dict(fps=16, sources=[dict(boxes=[[0, 0, 0.1, 0.1]] * 8, sounding=True, band=[1, 2], active=[[0, 0.5]])]), 0.25
    )
    assert len(sounding_sources(one, 0.2, (0, 1))) == 1 and not sounding_sources(
        one, 0.3, (0, 1)
    )  # nothing is known after 0.5 s of the file


def test_nothing_in_the_picture_sounds_under_another_track(clips):
    """Injected noise: the file's truth says that the thing sounds, but it is not what is heard; such rows are neither
    scored nor shown as sounding."""
    from avnb.attention_explorer import clip_notes
    from avnb.media import read_clip

    m, cfg, folder = clips
    noisy = inject_noise(m, 0.5, split='')
    wrong = noisy.table.index[noisy.table['track'] != '']
    known = truth_of_rows(noisy, read_truth(m.folder))
    assert len(wrong) == 4 and all(known[r]['sources'][0]['sounding'] == (r not in wrong) for r in noisy.table.index)
    assert not set(wrong) & set(evaluation_parts(noisy)['pairs'])
    part, none, lost = boxed_rows(noisy, 1e6)
    assert (
        set(lost['id']) == {noisy.table['id'][r] for r in wrong}
        and 'known to be faulty' in lost['why'].iloc[0]
        and len(part) == 4
        and none == 0
    )
    clip = read_clip(m.path(0), 0, 1, 8)
    for r in range(len(noisy)):
        truth, notes = clip_notes(noisy, noisy.row(r), clip)
        assert truth['sources'][0]['sounding'] == (r not in wrong)
        assert any('sees the middle 50 % of the picture' in n for n in notes)


@pytest.mark.parametrize('at', [0.0, 0.2, 1.0, 1.9])
def test_the_middle_frame_is_the_one_with_the_boxes(clips, packs, at):
    "Whichever way it is read, near the ends too: in the middle frame the thing stands where it stands at that moment."
    m, cfg, _ = clips
    for name, packed in packs.items():
        data = ClipDataset(
            m,
            cfg.data,
            cfg.view,
            packed=packed or '',
            train=False,
            squeeze=name == 'files',
            centres=np.full(len(m), at),
            aligned=False,
        )
        b = data.fetch(data.rows, 0)
        mid = b.frames.shape[2] // 2
        assert np.allclose(b.frame_times[:, mid], round(at * FPS) / FPS)
        start = np.clip(at - cfg.view.audio_seconds / 2, 0, 2 - cfg.view.audio_seconds)
        assert np.allclose(b.audio_start, start, atol=1 / RATE)
        for i in (0, 3, 5):
            box = box_at(json.loads((m.folder / f'truth/{i}.json').read_text())['sources'][0], at, FPS)
            box = boxes_in(box, WHOLE if name == 'files' else b.area[i], SIDE)
            there = bright(b.frames[i, :, mid])
            if np.isnan(box).any():
                assert not there.any()
            else:
                assert (box_mask(box * SIDE, (SIDE, SIDE)) & there).sum() > 0.8 * there.sum() > 0, (name, i)


def test_boxes_at_a_moment_that_was_not_packed(clips, packs):
    """A file of 2 s of which the first was packed, and boxes drawn at 1.5 s, or before the row begins: named, not
    compared with another picture."""
    m, cfg, folder = clips
    later = Manifest(m.folder, m.table.assign(boxes_at_s=['1.5'] * 4 + ['-0.5'] + ['0.5'] * 3))
    short = pack(later, folder / 'short', seconds=1.0, fps=FPS, size=SIDE, rate=RATE, workers=0)
    cfg = dataclasses.replace(cfg, data=dataclasses.replace(cfg.data, seconds=1.0))
    r, s = scores_of((later, cfg, folder), short)
    assert r['pointing_guided'].n == 3 and list(s.lost['why']) == ['ends before the picture with the boxes'] * 4 + [
        'begins after the picture with the boxes'
    ]
    with pytest.raises(LocalizationError, match='none of 8 clips can be scored.*ends before the picture'):
        scores_of((Manifest(m.folder, m.table.assign(boxes_at_s='1.5')), cfg, folder), short)


# -- back onto the whole frame
# -------------------------------------------------------------------------------------------


def test_maps_are_drawn_where_the_network_looked(clips):
    """`Network.along` a clip as it is: maps of the middle square, drawn on that part of the frame alone, boxes where
    they are in the frame."""
    from avnb.film import Overlay
    from avnb.media import read_clip
    from avnb.plots import fit_maps, show_attention

    m, cfg, _ = clips
    clip = read_clip(m.path(0), 0, 2, FPS, rate=RATE)
    square, area = middle_square(clip)
    network = Network.from_config(cfg, seed=1)
    a, same = network.along(clip), network.along(square)
    assert (a.video_guided == same.video_guided).all() and (a.audio_guided == same.audio_guided).all()
    assert (
        (a.area == area).all()
        and a.crop_note == 'the network sees the middle 50 % of the picture'
        and same.crop_note == ''
    )
    T, H, W = clip.frames.shape[:3]
    maps = fit_maps(a.video_guided, T, H, W, a.area)
    x0, y0, x1, y1 = np.round(area * [W, H, W, H]).astype(int)
    assert np.allclose(maps[:, y0:y1, x0:x1], fit_maps(a.video_guided, T, 64, 64)) and np.isnan(maps).sum() == T * (
        H * W - 64 * 64
    )
    draw = Overlay(
        clip,
        {'the clip': None, 'map': a.video_guided},
        boxes=json.loads((m.folder / 'truth/0.json').read_text())['sources'],
        short=64,
        area=a.area,
    )
    picture = draw(0.5)
    (top, left), (_, second) = draw.corners
    plain, hot = (picture[top : top + H, x : x + W].astype(int) for x in (left, second))
    changed = np.abs(plain - hot).max(-1) > 8
    outside = np.ones((H, W), bool)
    outside[y0:y1, x0:x1] = False
    box = box_mask(
        np.array(json.loads((m.folder / 'truth/0.json').read_text())['sources'][0]['boxes'][8]) * [W, H, W, H]
        + [-3, -3, 4, 4],
        (H, W),
    )
    assert changed[y0:y1, x0:x1].mean() > 0.8 and not (changed & outside & ~box).any()
    fig = show_attention(clip.frames, a.video_guided, n=2, area=a.area)
    shown = fig.axes[2].images[0].get_array()
    assert (shown[outside] == clip.frames[fig_frame(shown, clip.frames, outside)][outside]).all()


def fig_frame(shown, frames, where):
    "Which frame an axes shows, judged by the pixels that no map covers."
    return int(np.argmin([np.abs(f[where].astype(int) - shown[where]).mean() for f in frames]))


def test_the_film_says_how_much_is_seen(clips, tmp_path, monkeypatch, capsys):
    """`avnb attend` on a clip that is not square, and the demo's overlays: the whole frame, the truth's boxes in it, on
    the clip's own clock."""
    import avnb.cli as C
    import avnb.film as F
    from avnb import demo
    from avnb.media import read_clip

    m, cfg, _ = clips
    network, drawn = Network.from_config(cfg, seed=1), []
    monkeypatch.setattr(F, 'write_film', lambda path, draw, *a: drawn.append(draw) or Path(path))
    monkeypatch.setattr(Network, 'open', lambda source: network)
    C._run_attend(SimpleNamespace(network=tmp_path, video=m.path(0), out=tmp_path / 'look.mp4', start=0.0, seconds=2.0))
    assert 'the network sees the middle 50 % of the picture' in capsys.readouterr().out
    late = Manifest(m.folder, m.table.assign(start_s=0.5, seconds=1.0))
    demo._render(network, tmp_path, late, [0])
    draw = drawn[-1]
    ((sounding, track),) = draw.tracks
    want = json.loads((m.folder / 'truth/0.json').read_text())['sources'][0]['boxes'][8:24]
    assert (
        sounding
        and np.allclose(track, want)
        and draw.clip.frames.shape[1:3] != (SIDE, SIDE)
        and (draw.area == square_area(*draw.clip.frames.shape[1:3])).all()
    )
    noisy = inject_noise(late, 1.0, split='')
    r = int(noisy.table.index[noisy.table['track'] != ''][0])
    demo._render(network, tmp_path, noisy, [r])
    _, start, _ = noisy.soundtrack(r)
    donor = read_clip(noisy.soundtrack(r)[0], start, 1, FPS, rate=RATE).waveform
    assert drawn[-1].tracks[0][0] is False and (drawn[-1].clip.waveform == donor).all()  # nor is it what the film plays

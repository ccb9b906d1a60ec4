"The sample clips are what their manifest, their truth and their command say they are."

import json
from pathlib import Path

import numpy as np
import pytest

from avnb.core import sha256_file
from avnb.manifest import Manifest
from avnb.media import read_clip
from avnb.world import World, plan_scenes, render_audio, render_frames, scene_of

SAMPLES = Path(__file__).parents[1] / 'data_samples'


@pytest.fixture(scope='module')
def manifest():
    return Manifest.load(SAMPLES / 'manifest.csv')


def known(manifest, i):
    return json.loads((SAMPLES / 'truth' / f'{manifest.row(i)["id"]}.json').read_text())


def test_files_are_the_ones_that_were_measured(manifest):
    assert len(manifest) == 48 and (manifest.table['error'] == '').all()
    assert all(sha256_file(manifest.path(i)) == manifest.row(i)['content_hash'] for i in range(48))
    assert sum(p.stat().st_size for p in SAMPLES.rglob('*') if p.is_file()) < 4e6


def test_truth_is_what_the_command_plans(manifest):
    card = json.loads((SAMPLES / 'world.json').read_text())
    world = World(card['seed'], card['classes'])
    scenes = plan_scenes(world, card['clips'], card['faulty'], card['test'])
    assert [scene_of(known(manifest, i)) for i in range(48)] == scenes
    assert list(manifest.table['faulty_kind']) == [s.faulty_kind for s in scenes] and 'wrong_track' in set(
        manifest.table['faulty_kind']
    )
    assert list(manifest.table['label']) == [world.names[s.label] for s in scenes]


@pytest.mark.parametrize('i', [0, 17, 40])
def test_pixels_and_samples_are_those_of_the_scene(manifest, i):
    "Up to what two lossy codecs change."
    scene = scene_of(known(manifest, i))
    frames, boxes = render_frames(scene)
    clip = read_clip(manifest.path(i), 0, 2, 16)
    assert clip.frames.shape == frames.shape and np.abs(clip.frames.astype(int) - frames).mean() < 6
    assert np.corrcoef(clip.waveform, render_audio(scene))[0, 1] > 0.97
    assert np.allclose([s['boxes'] for s in known(manifest, i)['sources']], boxes, atol=1e-3)

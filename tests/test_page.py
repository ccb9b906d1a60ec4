"""A run's page needs nothing and runs nothing, whatever its files are called."""

import json
from html.parser import HTMLParser

import numpy as np
import pytest
from toy_clips import HOSTILE, small_clip

from avnb.core import AvnbError
from avnb.film import overlay_video
from avnb.page import run_page


class Tags(HTMLParser):
    "Every tag and attribute of a page."

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    "A run's folder in which every name is hostile."
    folder = tmp_path_factory.mktemp('run <b>&')
    score = dict(value=0.6, error=0.05, chance=0.1, n=100, baselines={HOSTILE: 0.3, 'none': None}, note=HOSTILE)
    (folder / 'report.json').write_text(
        json.dumps({'linear_video': score, HOSTILE: score, 'made_with': 'x', 'odd': dict(value=None)})
    )
    (folder / 'log.csv').write_text(
        'step,epoch,loss,lr,"<i>$a$"\n' + ''.join(f'{i},0,{5 - i / 50},0.001,{i}\n' for i in range(60))
    )
    (folder / 'ledger.csv').write_text('id,path,reason,count\n"{0}","{0}","{0}",2\n'.format(HOSTILE.replace('"', '""')))
    (folder / 'config.toml').write_text('[model]\nnet = ' + json.dumps(HOSTILE) + '\n[weight]\ndelta = 0.5\n')
    (folder / 'manifest.csv').write_text('id,split\na,train\nb,test\nc,train\n')
    clip = small_clip()
    for name in ('a.mp4', 'b <img src=x onerror=alert(3)>.mp4'):
        overlay_video(folder / 'overlays' / name, clip, np.random.default_rng(1).random((4, 3, 3)), short=64)
    (folder / 'overlays' / 'captions.json').write_text(json.dumps({'a.mp4': HOSTILE}))
    return folder


def test_page_is_self_contained_and_inert(run):
    page = run_page(run, np.linspace(-0.2, 0.9, 50), ['none'] * 25 + ['wrong_track'] * 25)
    text = page.read_text(encoding='utf-8')
    tags = Tags(text).tags
    assert not {t for t, _ in tags} & {'script', 'iframe', 'object', 'embed', 'link', 'form', 'base', 'i', 'svg'}
    assert not [a for _, at in tags for a in at if a.startswith('on')]
    addresses = [at[k] for _, at in tags for k in ('src', 'srcset', 'href', 'poster') if k in at]
    assert (
        len([t for t, _ in tags if t == 'video']) == 2
        and len(addresses) >= 8
        and all(a.startswith('data:') for a in addresses)
    )
    csp = [at['content'] for t, at in tags if t == 'meta' and at.get('http-equiv') == 'Content-Security-Policy']
    assert csp and "default-src 'none'" in csp[0] and 'script' not in csp[0]
    assert 'saw 2 clips' in text and '&lt;script&gt;' in text and len(text) < 12e6
    assert str(run) not in text, 'a page that is handed on must not show where it was made'
    videos = [at for t, at in tags if t == 'video']
    assert all('controls' in v and 'loop' in v and 'autoplay' not in v for v in videos)


def test_page_keeps_to_its_size(run):
    text = run_page(run, budget_mb=0.02).read_text()
    assert '<video' not in text and '2 more in overlays/' in text


def test_page_of_an_empty_run(tmp_path):
    text = run_page(tmp_path).read_text()
    assert 'avnb evaluate' in text and 'Every clip could be read' in text
    with pytest.raises(AvnbError, match='folder'):
        run_page(tmp_path / 'no')
    (tmp_path / 'config.toml').write_text('not = = toml')
    with pytest.raises(AvnbError, match='TOML'):
        run_page(tmp_path)


def test_page_survives_an_unreadable_overlay(run, tmp_path):
    (tmp_path / 'overlays').mkdir()
    (tmp_path / 'overlays' / 'x.mp4').write_bytes(b'nothing')
    assert 'cannot be shown' in run_page(tmp_path).read_text()

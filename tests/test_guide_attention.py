"""Guide 3 in a real notebook: the film is silent before it sounds, every picture is there, and swapped sounds move the
map."""

import pytest
from lab import browser, lab, page  # noqa: F401  (fixtures)

MEDIA = """() => [...document.querySelectorAll('.jp-OutputArea video, .jp-OutputArea audio')].map(m => ({tag: m.tagName, muted: m.muted, loop: m.loop,
    ready: m.readyState, seconds: m.duration, error: m.error && m.error.message}))"""
PICTURES = "() => [...document.querySelectorAll('.jp-OutputArea img')].map(i => i.naturalWidth)"


@pytest.mark.slow
def test_guide_runs_in_the_browser(page, lab):
    page.set_viewport_size(dict(width=1280, height=14_000))  # so that Lab keeps every cell attached
    lab.open(page, 'nbs/guides/3_where_does_it_look.ipynb')
    lab.run_all(page)
    page.wait_for_function(
        "() => document.querySelectorAll('.jp-OutputArea video').length == 2 && "
        "document.querySelectorAll('.jp-OutputArea audio').length == 2"
    )
    page.wait_for_function("() => [...document.querySelectorAll('.jp-OutputArea video')].every(m => m.readyState > 0)")
    silent, heard = [m for m in page.evaluate(MEDIA) if m['tag'] == 'VIDEO']
    assert silent['muted'] and not heard['muted'] and silent['error'] is None and abs(silent['seconds'] - 2) < 0.2, (
        silent,
        heard,
    )
    widths = page.evaluate(PICTURES)
    assert len(widths) >= 5 and min(widths) > 500, widths
    text = page.locator('.jp-OutputArea-output').all_inner_texts()
    line = next(t for t in text if 'leans to the voice' in t)
    assert int(line.split('voice in ')[1].split('%')[0]) > 50, line
    assert not page.errors, page.errors

"The guides in a real browser: their films play, and a slider changes the picture."

from pathlib import Path

import nbformat
import pytest
from lab import attribute, browser, lab, page  # noqa: F401 (fixtures)

ROOT = Path(__file__).resolve().parents[1]


def open_guide(page, lab, name):
    "Run a guide's cells until its explorer is there; returns the explorer's cell."
    lab.open(page, name)
    cells = nbformat.read(ROOT / name, 4).cells
    last = next(
        i
        for i, c in enumerate(cells)
        if c.cell_type == 'code' and 'NoiseExplorer(' in c.source and 'import' not in c.source
    )
    for i, c in enumerate(cells[: last + 1]):
        if c.cell_type == 'code':
            lab.run_cell(page, i)
    page.locator('.avnb-explorer').first.wait_for(timeout=300_000)
    page.locator('.avnb-explorer').first.scroll_into_view_if_needed()


def move(page, name, steps, key='ArrowRight'):
    "Move the slider of this name."
    handle = (
        page.locator('.widget-slider', has=page.locator('label', has_text=name))
        .locator('visible=true')
        .locator('.noUi-handle')
        .first
    )
    handle.focus()
    [page.keyboard.press(key) for _ in range(steps)]


@pytest.mark.slow
def test_faulty_positives_guide(page, lab):
    open_guide(page, lab, 'nbs/guides/1_faulty_positives.ipynb')
    mean = lambda: float(page.locator('.avnb-weights').first.get_attribute('data-mean'))
    curve = lambda: page.locator('.avnb-weights svg').first.inner_html()
    before, old = mean(), curve()
    move(page, 'delta', 6)
    page.wait_for_function("Number(document.querySelector('.avnb-weights').dataset.delta) >= .25")
    assert mean() < before - 0.02 and curve() != old
    trusting = mean()
    move(page, 'w_min', 6)
    page.wait_for_function("Number(document.querySelector('.avnb-weights').dataset.wMin) >= .5")
    assert mean() > trusting
    gentle = curve()
    move(page, 'kappa', 1, 'Home')
    page.wait_for_function("Number(document.querySelector('.avnb-weights').dataset.kappa) <= .01")
    assert curve() != gentle
    assert not page.errors


@pytest.mark.slow
def test_faulty_negatives_guide(page, lab):
    open_guide(page, lab, 'nbs/guides/2_faulty_negatives.ipynb')
    board = page.locator('.avnb-board[data-mode=cards]').locator('visible=true').first
    board.wait_for()
    board.locator('.avnb-card img').first.wait_for()
    cards = "old => ![...document.querySelectorAll('.avnb-board[data-mode=cards]')].some(b => b.innerText === old)"
    gentle = board.inner_text()
    move(page, 'tau_t', 1, 'Home')
    page.wait_for_function(cards, arg=gentle)  # only reliable pairs count; one event: nothing is under way
    before = board.inner_text()
    move(page, 'lam', 8)
    page.wait_for_function(cards, arg=before)
    kept = board.get_attribute('data-rows')
    move(page, 'tau_s', 20)
    page.wait_for_function(
        "old => ![...document.querySelectorAll('.avnb-board[data-mode=cards]')].some(b => b.dataset.rows === old)",
        arg=kept,
    )
    assert not page.errors

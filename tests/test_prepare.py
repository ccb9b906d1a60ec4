"What `make prepare` does to a notebook: execute, clean, remember, turn into README.md."

import pytest
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from prepare import WIDGET, clean, execute, fingerprint, readme, relink, save


def notebook(path, *cells):
    save(new_notebook(cells=list(cells)), path)
    return path


def test_execute_starts_clean_and_leaves_eval_false_alone(tmp_path):
    kept = new_code_cell('#| eval: false\nraise SystemError', outputs=[new_output('stream', text='as it was')])
    nb = execute(notebook(tmp_path / 'a.ipynb', new_code_cell('import sys; print("pytest" in sys.modules)'), kept))
    assert nb.cells[0].outputs[0].text == 'False\n' and nb.cells[1].outputs[0].text == 'as it was'
    with pytest.raises(CellExecutionError, match='ZeroDivisionError'):
        execute(notebook(tmp_path / 'b.ipynb', new_code_cell('1/0')))


def test_clean_keeps_what_a_reader_sees():
    result = new_output('execute_result', {'text/plain': '3'}, execution_count=7, metadata={'a': 1})
    slider = new_output('display_data', {WIDGET: {'model_id': 'x'}, 'text/plain': 'IntSlider()'})
    player = new_output('display_data', {WIDGET: {'model_id': 'x'}, 'text/plain': 'Player()', 'text/html': '<video>'})
    nb = clean(
        new_notebook(
            cells=[new_code_cell('3', execution_count=7, outputs=[result, slider, player], metadata={'b': 1})],
            metadata={'widgets': {}},
        )
    )
    (cell,) = nb.cells
    assert set(nb.metadata) == {'kernelspec'} and cell.metadata == {} and cell.execution_count is None
    assert [o.data for o in cell.outputs] == [{'text/plain': '3'}, {'text/plain': 'Player()', 'text/html': '<video>'}]
    assert cell.outputs[0].execution_count is None and cell.outputs[0].metadata == {}


def test_fingerprint_follows_code_and_the_modules_it_uses(tmp_path):
    for folder in 'nbs', 'avnb':
        (tmp_path / folder).mkdir()
    core, media, path = tmp_path / 'avnb' / 'core.py', tmp_path / 'avnb' / 'media.py', tmp_path / 'nbs' / '02_a.ipynb'
    core.write_text('one = 1\n')
    media.write_text('from .core import one\n')  # as nbdev writes it

    def now(code, *more):
        return fingerprint(notebook(path, new_code_cell(code), *more), tmp_path)

    first = now('from avnb.media import one')
    assert now('from avnb.media import one', new_markdown_cell('words')) == first
    assert now('from avnb.media import one; one') != first
    core.write_text('# a comment\none = 1\n')
    assert now('from avnb.media import one') == first
    core.write_text('one = 2\n')
    assert now('from avnb.media import one') != first


def test_readme(tmp_path):
    cells = [
        new_markdown_cell(
            '# t\n\n'
            '[core](00_core.ipynb), [mail](mailto:a@b), [top](#t), ![p](images/p.png) <img src="images/q.png">, '
            '[x](../x)'
        ),
        new_code_cell('#| hide\nsecret'),
        new_code_cell('#| echo: false\n1 + 1', outputs=[new_output('execute_result', {'text/plain': '2'})]),
    ]
    assert readme(notebook(tmp_path / 'index.ipynb', *cells)) == (
        '# t\n\n'
        '[core](nbs/00_core.ipynb), [mail](mailto:a@b), [top](#t), ![p](nbs/images/p.png) <img '
        'src="nbs/images/q.png">, [x](x)\n\n'
        '```python\n1 + 1\n```\n\n```text\n2\n```\n'
    )
    assert relink('[a](guides/a.ipynb#b)') == '[a](nbs/guides/a.ipynb#b)'
    picture = new_code_cell(
        'plot()', outputs=[new_output('display_data', {'image/png': 'aGk=', 'text/plain': '<Figure>'})]
    )
    with pytest.raises(ValueError, match='nbs/images'):
        readme(notebook(tmp_path / 'index.ipynb', picture))

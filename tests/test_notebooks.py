"Every notebook runs from a clean kernel, in a process of its own; guides and widgets are slow."

import pytest
from nbclient.exceptions import CellExecutionError
from prepare import ROOT, execute, notebooks, plain


def case(path):
    name = path.relative_to(ROOT / 'nbs').with_suffix('')
    return pytest.param(path, id=name.as_posix(), marks=[pytest.mark.slow] if len(name.parts) > 1 else [])


@pytest.mark.parametrize('path', [case(p) for p in notebooks()])
def test_notebook_runs(path):
    try:
        execute(path)
    except CellExecutionError as error:
        pytest.fail(plain(error), pytrace=False)

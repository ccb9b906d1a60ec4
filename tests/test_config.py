"Every setting states its range; whatever is drawn is either accepted and kept, or refused by its name."

import dataclasses
import math

import pytest
from hypothesis import given, strategies as st

from avnb.core import ConfigError, TrainConfig, load_config, replace, save_config, set_options

FIELDS = [
    (g.name, f) for g in dataclasses.fields(TrainConfig) for f in dataclasses.fields(getattr(TrainConfig(), g.name))
]
RANGED = [(group, f) for group, f in FIELDS if f.metadata]
NUMBERS = [(group, f) for group, f in RANGED if not isinstance(f.default, str)]


def inside(f, value):
    "Whether a value lies in the stated range."
    m = f.metadata
    if isinstance(f.default, str):
        return value in m['words']
    return math.isfinite(value) and m['least'] <= value <= m['most'] and value > m['above']


def test_every_number_has_a_range():
    assert [f.name for _, f in FIELDS if type(f.default) in (int, float) and not f.metadata] == []
    assert all(inside(f, f.default) for _, f in RANGED)


@given(st.data())
def test_what_lies_in_the_range_is_kept_and_all_else_refused_by_name(tmp_path_factory, data):
    group, f = data.draw(st.sampled_from(NUMBERS))
    odd = st.sampled_from([-1, 0, 1, 1e-9, -1e-9, 2, 1e6, math.nan, math.inf, -math.inf])
    value = type(f.default)(x) if math.isfinite(x := data.draw(odd | st.floats(-3, 3))) else x
    if type(value) is not type(f.default):
        return  # an int cannot be infinite
    if inside(f, value):
        cfg = replace(TrainConfig(), {group: {f.name: value}})
        path = tmp_path_factory.mktemp('config') / 'config.toml'
        save_config(cfg, path)
        assert load_config(path) == cfg
    else:
        with pytest.raises(ConfigError, match=rf'{group}\.{f.name}: expected .*, got {value!r}'.replace('+', r'\+')):
            replace(TrainConfig(), {group: {f.name: value}})


@pytest.mark.parametrize('group, f', [x for x in RANGED if isinstance(x[1].default, str)], ids=lambda x: str(x)[:12])
def test_a_word_is_one_of_those_listed(group, f):
    for word in f.metadata['words']:
        assert getattr(getattr(replace(TrainConfig(), {group: {f.name: word}}), group), f.name) == word
    with pytest.raises(ConfigError, match=f'{group}.{f.name}: expected .*got .sideways'):
        set_options(TrainConfig(), [f'{group}.{f.name}=sideways'])


def test_ranges_hold_in_python_too():
    with pytest.raises(ConfigError, match='optim.epochs: expected a number of at least 1, got -1'):
        type(TrainConfig().optim)(epochs=-1)

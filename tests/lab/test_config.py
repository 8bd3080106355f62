import json
from dataclasses import dataclass
from typing import Literal

import pytest
from hypothesis import given, strategies as st

from lapicque._checks import InputError
from lapicque.lab import config


@dataclass(frozen=True)
class Config:
    epochs: int = 3
    rate: float = 0.1
    shuffle: bool = True
    label: str = "plain"
    rule: Literal["hebb", "oja", 3] = "hebb"
    limit: float | None = None
    sizes: tuple[int, ...] = (64, 32)
    names: tuple[str, ...] = ()
    pair: tuple[float, bool] = (1.0, False)
    nested: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self):
        if self.epochs < 0:
            raise ValueError("`epochs` must not be negative")


texts = st.text(st.characters(codec="utf-8"))
numbers = st.floats(allow_nan=False)
configs = st.builds(
    Config,
    epochs=st.integers(0, 10**30),
    rate=numbers,
    shuffle=st.booleans(),
    label=texts,
    rule=st.sampled_from(["hebb", "oja", 3]),
    limit=st.none() | numbers,
    sizes=st.lists(st.integers()).map(tuple),
    names=st.lists(texts).map(tuple),
    pair=st.tuples(numbers, st.booleans()),
    nested=st.lists(st.lists(st.integers()).map(tuple)).map(tuple),
)


@given(configs)
def test_settings_read_back_what_they_wrote(chosen):
    assert config.with_settings(Config(), config.as_settings(chosen)) == chosen


@given(configs)
def test_json_reads_back_what_it_wrote(chosen):
    stored = json.loads(json.dumps(config.to_json(chosen), allow_nan=False))
    assert config.from_json(Config, stored) == chosen


@given(texts, texts)
def test_any_text_is_read_or_refused_with_a_message(field, text):
    """Nothing a caller types ends in another error than `InputError`."""
    for name in (field, *Config.__dataclass_fields__):
        try:
            read = config.with_settings(Config(), [f"{name}={text}"])
        except InputError:
            continue
        assert str(read) == str(config.with_settings(Config(), config.as_settings(read)))


@pytest.mark.parametrize(
    ("setting", "field", "value"),
    [
        ("epochs=1e3", "epochs", 1000),
        ("rate=2", "rate", 2.0),
        ("shuffle=False", "shuffle", False),
        ("shuffle=0", "shuffle", False),
        ("limit=none", "limit", None),
        ("sizes=64,32", "sizes", (64, 32)),
        ("sizes=64", "sizes", (64,)),
        ("sizes=(1, 2)", "sizes", (1, 2)),
        ("sizes=", "sizes", ()),
        ("label=a=b", "label", "a=b"),
        ("rule=3", "rule", 3),
    ],
)
def test_how_people_write_values(setting, field, value):
    read = getattr(config.with_settings(Config(), [setting]), field)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("epochs", "lacks a value"),
        ("epoch=3", "There is no field 'epoch'; the fields are epochs, .* Did you mean 'epochs'"),
        ("epochs=many", "`epochs` is 'many'; it must be int"),
        ("epochs=1.5", "`epochs` is '1.5'; it must be int"),
        ("epochs=-1", "must not be negative"),
        ("rate=fast", "`rate` is 'fast'; it must be float"),
        ("shuffle=maybe", "`shuffle` is 'maybe'; it must be true or false"),
        ("rule=heb", "`rule` is 'heb'; it must be one of hebb, oja, 3. Did you mean 'hebb'"),
        ("limit=low", "`limit` is 'low'; it must be float"),
        ("sizes=a,b", "`sizes` is 'a'; it must be int"),
        ("pair=1", "`pair` is '1'; it must be 2 values"),
    ],
)
def test_bad_setting_says_what_is_allowed(setting, message):
    with pytest.raises(InputError, match=message):
        config.with_settings(Config(), [setting])


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ({"epoch": 3}, "no field"),
        ({"epochs": "3"}, "must be int"),
        ({"epochs": True}, "must be int"),
        ({"shuffle": 1}, "must be true or false"),
        ({"sizes": 3}, "must be a list"),
        ({"rule": "delta"}, "must be one of"),
    ],
)
def test_bad_json_says_what_is_allowed(stored, message):
    with pytest.raises(InputError, match=message):
        config.from_json(Config, stored)

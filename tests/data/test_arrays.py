"""What an array of numbers becomes: kind, layout, dtype, labels; nothing is lost in silence."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from reparam.data import DataError, Dataset, from_array

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("array", "kind", "dtype", "shape"),
    [
        (np.array([[True, False], [False, True]]), "binary", torch.uint8, (2,)),
        (np.array([[0.0, 1.0], [1.0, 1.0]], dtype=np.float16), "binary", torch.uint8, (2,)),
        (np.array([[0, 1], [1, 1]], dtype=np.int64), "binary", torch.uint8, (2,)),
        (np.array([[0, 9], [1, 255]], dtype=np.uint8), "counts", torch.uint8, (2,)),
        (np.array([[0, 9], [1, 300]], dtype=np.uint16), "counts", torch.int16, (2,)),
        (np.array([[0, 9], [1, 2**24]], dtype=np.uint64), "counts", torch.int32, (2,)),
        (np.array([[0.0, 7.0], [3.0, 2.0]]), "counts", torch.uint8, (2,)),
        (np.array([[0.0, 700.0]], dtype=np.float16), "counts", torch.int16, (2,)),
        (np.array([[0, -9], [1, 2**24]], dtype=np.int64), "real", torch.float32, (2,)),
        (np.array([[0.5, -1.0]], dtype=np.float16), "real", torch.float32, (2,)),
        (np.array([[0.1, -1.0]], dtype=np.float64), "real", torch.float32, (2,)),
        (np.array([[0.1, -1.0]], dtype=np.longdouble), "real", torch.float32, (2,)),
        (np.array([[0.5, -1.0]], dtype=">f4"), "real", torch.float32, (2,)),
        (np.array([[5, 700]], dtype=">i2"), "counts", torch.int16, (2,)),
        (np.full((2, 5, 6), 7, dtype=np.uint8), "pictures", torch.uint8, (1, 5, 6)),
        (np.full((2, 5, 6, 3), 7, dtype=np.uint8), "pictures", torch.uint8, (3, 5, 6)),
        (np.full((2, 4, 5, 6), 7, dtype=np.uint8), "pictures", torch.uint8, (4, 5, 6)),
        (np.full((2, 5, 6), 7, dtype=np.int64), "counts", torch.uint8, (1, 5, 6)),
        (np.full((2, 5, 6), 0.3, dtype=np.float32), "real", torch.float32, (1, 5, 6)),
        (np.zeros((2, 5, 6), dtype=bool), "binary", torch.uint8, (1, 5, 6)),
    ],
)
def test_kind_dtype_and_shape(array, kind, dtype, shape):
    data = from_array(array)
    assert (data.kind, data.x.dtype, data.shape) == (kind, dtype, shape)
    assert data.batch().dtype == torch.float32


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("how", ["divide", "multiply"])
def test_pictures_divided_by_255_come_back_as_their_integers(dtype, how):
    levels = RNG.integers(0, 256, (3, 9, 7), dtype=np.uint8)
    levels.flat[:2] = 0, 255
    x = levels.astype(dtype)
    data = from_array(x / dtype(255) if how == "divide" else (levels * (1 / 255)).astype(dtype))
    assert data.kind == "pictures"
    assert torch.equal(data.x[:, 0], torch.from_numpy(levels))
    assert data.batch().max() == 1
    assert data.batch().min() == 0


def test_one_value_off_the_grid_makes_real_numbers():
    x = RNG.integers(0, 256, (3, 9, 7)) / 255
    x[2, 8, 6] += 1e-5
    assert from_array(x).kind == "real"


def test_rounding_of_float64_is_said_and_exact_values_say_nothing():
    assert any("rounded to float32" in line for line in from_array(np.array([[0.1]])).note)
    assert not any("rounded" in line for line in from_array(np.array([[0.5]])).note)


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 3), c=st.integers(1, 4), h=st.integers(5, 9), w=st.integers(5, 9), last=st.booleans())
def test_both_layouts_of_one_picture_agree(n, c, h, w, last):
    chw = np.arange(n * c * h * w, dtype=np.uint8).reshape(n, c, h, w)
    chw[0, 0, 0, 0] = 99
    data = from_array(np.moveaxis(chw, 1, 3) if last else chw)
    assert data.kind == "pictures"
    assert np.array_equal(data.x.numpy(), chw)


@settings(max_examples=60, deadline=None)
@given(shape=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.integers(1, 9)))
def test_four_axes_are_read_in_one_way_or_refused(shape):
    x = np.full(shape, 9, dtype=np.uint8)
    channel_axes = [axis for axis in (1, 3) if shape[axis] <= 4]
    if len(channel_axes) == 1:
        expected = np.moveaxis(x, channel_axes[0], 1)
        assert np.array_equal(from_array(x).x.numpy(), expected)
    else:
        with pytest.raises(DataError, match=r"axis 1 (and|or) axis 3"):
            from_array(x)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_numbers_keep_their_values_or_are_refused(data):
    dtype = data.draw(
        st.one_of(arrays.boolean_dtypes(), arrays.integer_dtypes(), arrays.unsigned_integer_dtypes())
    )
    shape = data.draw(arrays.array_shapes(min_dims=1, max_dims=5, min_side=0, max_side=6))
    array = data.draw(arrays.arrays(dtype, shape))
    try:
        found = from_array(array)
    except DataError:
        return
    kept = found.x.numpy().astype(np.float64).ravel()
    assert np.array_equal(np.sort(kept), np.sort(array.astype(np.float64).ravel()))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_floats_stay_within_one_rounding_or_are_refused(data):
    array = data.draw(arrays.arrays(arrays.floating_dtypes(), arrays.array_shapes(min_dims=1, max_dims=3)))
    try:
        found = from_array(array)
    except DataError:
        return
    batch = found.batch(dtype=torch.float64).numpy().reshape(array.shape)
    assert np.allclose(batch, array.astype(np.float64), rtol=max(np.finfo(array.dtype).eps, 6e-8), atol=1e-45)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((0, 3)), "zero examples"),
        (np.zeros((3, 0)), "without values"),
        (np.float32(3.0).reshape(()), "shape"),
        (np.arange(5.0), r"x\[:, None\]"),
        (np.zeros((2, 2, 2, 2, 2)), "reshape"),
        (np.full((28, 28, 3), 9, dtype=np.uint8), "one picture"),
        (np.full((2, 9, 9, 9), 9, dtype=np.uint8), "1 to 4 channels"),
        (np.array([["a", "b"]]), "text"),
        (np.array([[b"a", b"b"]]), "text"),
        (np.array([[1, None]], dtype=object), "Python objects"),
        (np.array([[1j]]), "complex"),
        (np.array([["2020-01-01"]], dtype="datetime64[D]"), "dates"),
        (np.zeros((2, 2), dtype=[("a", "f4")]), "structured"),
        (np.array([[2**24 + 1]]), "2\\^24"),
        (np.array([[-(2**24) - 1]]), "2\\^24"),
        (np.array([[np.iinfo(np.int64).min]]), "2\\^24"),
        (np.array([[1e39, -0.5]]), "float32"),
    ],
)
def test_refused_arrays_get_one_line(array, words):
    with pytest.raises(DataError, match=words) as caught:
        from_array(array)
    assert "\n" not in str(caught.value)
    assert "got" in str(caught.value)


def test_nan_and_inf_are_counted_and_placed():
    x = np.zeros((4, 5), dtype=np.float32)
    x[2, 3], x[3, 0], x[3, 1] = np.inf, np.nan, np.nan
    with pytest.raises(DataError, match=r"2 nan and 1 inf, the first at x\[2, 3\]"):
        from_array(x)


def test_asked_kind_is_taken_or_refused_with_those_that_fit():
    x = np.array([[0, 3], [7, 1]])
    assert from_array(x, kind="real").x.dtype == torch.float32
    assert from_array(np.full((2, 5, 5), 200.0), kind="pictures").x.max() == 200
    assert from_array(np.full((2, 5, 5), 1, np.uint8), kind="pictures").x.max() == 1
    with pytest.raises(DataError, match="kinds that fit: counts, real"):
        from_array(x, kind="binary")
    with pytest.raises(DataError, match="must be one of"):
        from_array(x, kind="images")


def test_labels_numbers_and_names():
    x = np.eye(3)
    assert from_array(x, np.array([2, 0, 1])).labels.tolist() == [2, 0, 1]
    assert from_array(x, torch.tensor([[2], [0], [1]])).classes == 3
    named = from_array(x, np.array(["dog", "cat", "dog"]))
    assert named.labels.tolist() == [1, 0, 1]
    assert named.label_names == ("cat", "dog")


@pytest.mark.parametrize(
    "labels", [np.zeros(2, int), np.eye(3, dtype=int), np.array([0.5, 1, 2]), np.array([-1, 0, 1])]
)
def test_refused_labels(labels):
    with pytest.raises(DataError, match="label"):
        from_array(np.eye(3), labels)


def test_the_data_set_does_not_alias_the_caller():
    x = np.zeros((2, 5, 5), dtype=np.uint8)
    data = from_array(x)
    x[:] = 1
    assert data.x.max() == 0


def test_fingerprint_sees_every_part():
    base = Dataset("a", "counts", torch.tensor([[1, 2], [3, 4]], dtype=torch.uint8))
    alike = Dataset("other name", "counts", base.x.clone())
    assert base.fingerprint == alike.fingerprint
    others = [
        Dataset("a", "real", base.x),
        Dataset("a", "counts", base.x.to(torch.int16)),
        Dataset("a", "counts", base.x.reshape(1, 4)),
        Dataset("a", "counts", base.x, labels=torch.tensor([0, 1])),
        Dataset("a", "counts", torch.tensor([[1, 2], [3, 5]], dtype=torch.uint8)),
    ]
    assert len({base.fingerprint, *(d.fingerprint for d in others)}) == 6


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "images"},
        {"x": torch.zeros(3)},
        {"x": torch.zeros(0, 3)},
        {"levels": 256},
        {"kind": "pictures"},
        {"labels": torch.zeros(3)},
        {"labels": torch.zeros(1, dtype=torch.int64)},
    ],
)
def test_contradicting_fields_are_refused(fields):
    with pytest.raises(DataError, match="Dataset: "):
        Dataset(**({"name": "a", "kind": "real", "x": torch.zeros(2, 3)} | fields))

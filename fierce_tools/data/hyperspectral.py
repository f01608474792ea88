"""Mixed pixels of a hyperspectral image with their abundances, from one .npz or .mat file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from fierce_tools.arrayfile import load_numpy
from fierce_tools.data._cut import test_rows
from fierce_tools.data._dataset import Dataset
from fierce_tools.data._places import locate
from fierce_tools.errors import DataError

DEFAULT_MODEL = "mlp:200-400-100"
# What the arrays are called in the files that go round.
PIXELS = ("pixels", "Y", "V")
ABUNDANCES = ("abundances", "A", "S_GT")
NAMES = ("endmember_names", "class_names", "names", "cood")
# Further from 1 than this, the sums of abundances are worth a word.
OFF = 0.01


def hyperspectral(
    file: Annotated[str, "a .npz or .mat file"],
    *,
    pixels: Annotated[str | None, "name of the array of spectra; none: pixels, Y or V"] = None,
    abundances: Annotated[str | None, "name of the array of abundances; none: abundances, A or S_GT"] = None,
    truth_file: Annotated[str | None, "file that holds the abundances, where they lie apart"] = None,
    layout: Annotated[
        Literal["auto", "pixels-first", "pixels-last"],
        "axis of flat arrays that counts pixels; auto: the one that fits",
    ] = "auto",
    flat_order: Annotated[
        Literal["unsaid", "rows", "columns"], "how a flat array goes through the image, where the other one is a cube"
    ] = "unsaid",
    test_fraction: Annotated[float, "share kept for testing where the data have no test split"] = 0.3,
    test_seed: Annotated[int, "seed of the cut between training and testing"] = 0,
    data_root: Annotated[str | None, "folder that holds the dataset's files (else FIERCE_DATA, else ./data)"] = None,
) -> Dataset:
    """Spectra with the mixtures they are of, as `hyperspectral:FILE.npz` or `.mat`.

    Pixels [N, L], [L, N] or [H, W, L] and abundances [N, P], [P, N] or [H, W, P]; the label is the largest abundance,
    targets are the abundances [N, P], `index` is the pixel. A stratified share is cut off for testing. An array that is
    not named is looked for under the usual names; which was taken is said, and two that fit are refused. Files
    are seen from the working folder, else from `data_root`. Raises DataError for a file that is missing, damaged, holds
    no such arrays, or whose pixels cannot be told without a guess.
    Source: Baena, Drumetz, Gripon 2023 (the setting), Zhu 2017 (the .mat files of Samson and Jasper Ridge).
    """
    path = _lying(file, data_root)
    held = _held(path)
    truth_path = path if truth_file is None else _lying(truth_file, data_root)
    truth = held if truth_file is None else _held(truth_path)
    pixel_key = _key(path, held, pixels, PIXELS, "--pixels")
    truth_key = _key(truth_path, truth, abundances, ABUNDANCES, "--abundances")
    x, z = _numbers(path, pixel_key, held[pixel_key]), _numbers(truth_path, truth_key, truth[truth_key])
    spectra, mixtures = _aligned(path, (pixel_key, x), (truth_key, z), layout, flat_order)
    names_key, names = _names({**held, **truth}, mixtures.shape[1])
    labels = mixtures.argmax(axis=1).astype(np.int64)
    train, test = test_rows(labels, test_fraction, test_seed)
    said = f"pixels are {pixel_key!r} {list(x.shape)}, abundances {truth_key!r} {list(z.shape)}"
    said += f", classes {names_key!r}" if names_key else ""
    sums = mixtures.sum(axis=1)
    if np.abs(sums - 1).max() > OFF:
        said += f"; abundances of a pixel sum to {sums.min():.3g} to {sums.max():.3g}, not 1"
    return Dataset(
        name=f"hyperspectral:{file}",
        train_images=spectra[train],
        train_labels=labels[train],
        test_images=spectra[test],
        test_labels=labels[test],
        class_names=names,
        train_targets=mixtures[train],
        test_targets=mixtures[test],
        train_index=train,
        test_index=test,
        notes=(f"{path.name}: {said}",),
    )


def _lying(file: str, data_root: str | None) -> Path:
    if not file.endswith((".npz", ".mat")):
        raise DataError(f"{file} is neither .npz nor .mat", "save the arrays as one of them")
    return locate(file, data_root)


def _held(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file by name."""
    if path.suffix == ".npz":
        return load_numpy(path)
    from scipy.io import loadmat

    try:
        return {k: v for k, v in loadmat(path, appendmat=False).items() if not k.startswith("__")}
    except NotImplementedError:
        raise DataError(f"{path} is a MATLAB 7.3 file", "save it again in MATLAB with -v7, or as .npz") from None
    except Exception as error:  # scipy raises whatever its parsers do
        raise DataError(f"{path} is no readable .mat file: {error or type(error).__name__}", "copy it again") from None


def _key(path: Path, held: dict[str, np.ndarray], given: str | None, usual: tuple[str, ...], flag: str) -> str:
    listed = ", ".join(f"{k} {list(v.shape)}" for k, v in held.items()) or "nothing"
    if given is not None:
        if given not in held:
            raise DataError(f"{path} has no array {given!r}; it holds {listed}", f"name one with {flag}")
        return given
    found = [name for name in usual if name in held]
    if len(found) != 1:
        what = f"{' and '.join(found)}, and which is meant is not said" if found else f"none of {', '.join(usual)}"
        raise DataError(f"{path} has {what}; it holds {listed}", f"name one with {flag}")
    return found[0]


def _numbers(path: Path, key: str, array: np.ndarray) -> np.ndarray:
    if array.ndim not in (2, 3) or array.dtype.kind not in "fiu" or not array.size:
        raise DataError(f"{path}: {key} is {array.dtype} {list(array.shape)}, expected numbers of 2 or 3 axes")
    if not np.isfinite(array).all():
        raise DataError(f"{path}: {key} holds NaN or infinite values")
    return array


def _aligned(
    path: Path, pixels: tuple[str, np.ndarray], abundances: tuple[str, np.ndarray], layout: str, order: str
) -> tuple[np.ndarray, np.ndarray]:
    """Spectra f32 [N, L] and abundances [N, P] of the same pixels. Raises DataError where that would be a guess."""
    (_, x), (_, z) = pixels, abundances
    what = f"{path}: {' and '.join(f'{key} {list(array.shape)}' for key, array in (pixels, abundances))}"
    if x.ndim == z.ndim == 3:
        if x.shape[:2] != z.shape[:2]:
            raise DataError(f"{what} are not of one image", "expected [H, W, L] and [H, W, P]")
        x, z = x.reshape(-1, x.shape[2]), z.reshape(-1, z.shape[2])
    elif x.ndim != z.ndim:
        if order == "unsaid":
            raise DataError(
                f"{what}: whether the flat one goes through the image by rows or by columns is not known",
                "say --flat-order columns (as MATLAB does) or rows",
            )
        x, z = (_flattened(a, order) if a.ndim == 3 else a for a in (x, z))
    axes = {"auto": (0, 1), "pixels-first": (0,), "pixels-last": (1,)}[layout]
    cubes = [array.ndim == 3 for _, array in (pixels, abundances)]
    fits = [
        (i, j) for i in ((0,) if cubes[0] else axes) for j in ((0,) if cubes[1] else axes) if x.shape[i] == z.shape[j]
    ]
    if not fits:
        raise DataError(
            f"{what} have no number of pixels in common", "expected [N, L] and [N, P], or [L, N] and [P, N]"
        )
    if len(fits) > 1:
        raise DataError(
            f"{what}: which axis counts the pixels is not known", "say --layout pixels-first or pixels-last"
        )
    ((i, j),) = fits
    x, z = np.moveaxis(x, i, 0), np.moveaxis(z, j, 0)
    return x.astype(np.float32), np.ascontiguousarray(z if z.dtype.kind == "f" else z.astype(np.float64))


def _flattened(cube: np.ndarray, order: str) -> np.ndarray:
    return (cube if order == "rows" else cube.transpose(1, 0, 2)).reshape(-1, cube.shape[2])


def _names(held: dict[str, Any], count: int) -> tuple[str | None, tuple[str, ...]]:
    """The classes' names and the array they are from; their numbers where there are none, or not as many."""
    for key in NAMES:
        if key in held:
            # MATLAB's cells come as arrays of arrays of text.
            found = [str(np.ravel(entry)[0]).strip() if np.size(entry) else "" for entry in np.ravel(held[key])]
            if all(found) and len(found) == len(set(found)) == count:
                return key, tuple(found)
    return None, tuple(map(str, range(count)))

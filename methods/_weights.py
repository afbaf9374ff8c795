"""Weights of networks: where they come from, and how a file of them is read and loaded."""

import hashlib
import http.client
import json
import os
import pickle
import re
import urllib.request
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from harness.errors import MethodError
from methods._array_pickle import read_arrays

# What pickles a number of numpy's, which trainers keep beside the weights: a mean IoU, say.
_SCALAR = np._core.multiarray.scalar
_NUMPY_SCALARS: list[Any] = [
    _SCALAR,
    (_SCALAR, "numpy.core.multiarray.scalar"),  # its name before numpy 2
    np.dtype,
    *{type(np.dtype(code)) for code in ("f2", "f4", "f8", "i4", "i8", "?")},
]
ENDINGS = (".safetensors", ".pth", ".pt", ".bin", ".pkl")
HUB_CLIENT = ("huggingface_hub", "httpx", "httpx2")  # whose errors the hub's client lets through
HUB_FORM = "hf://OWNER/NAME[@REVISION]/FILE"
_HUB = re.compile(
    r"hf://(?P<repository>[^/@]+/[^/@]+)(?:@(?P<revision>[0-9a-f]{40}))?/(?P<file>.+)"
)


@dataclass(frozen=True)
class Source:
    """Where a network's weights come from: a pinned public address, or a file of this package.

    A file of the Hugging Face hub is `hf://OWNER/NAME@REVISION/FILE`; without the revision, the
    one that is current when the file is first used is written down, and used from then on.
    """

    address: str  # https://…, hf://…; a file name inside methods/networks/; "": none is known
    sha256: str  # its beginning where no more is published; "": a hub revision says it all
    licence: str
    note: str = ""  # what was trained, by whom, published mIoU


def cache_folder() -> Path:
    """The folder for what is fetched: HARNESS_CACHE, else ~/.cache/road-anomaly-harness."""
    return Path(os.environ.get("HARNESS_CACHE") or "~/.cache/road-anomaly-harness").expanduser()


def fetched(source: Source, name: str) -> Path:
    """The file behind the public address of `source`, fetched unless it is there already.

    Args:
        source: its address begins with https:// or hf://.
        name: of the network, for messages.

    Raises:
        MethodError: no connection, no such file, or another sha256.
    """
    if source.address.startswith("hf://"):
        return hub_file(source.address, name)
    file_name = source.address.rsplit("/", 1)[-1]
    path = cache_folder() / "weights" / source.sha256 / file_name
    if path.is_file():
        return path
    beside = path.with_name(f"{file_name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with (
            urllib.request.urlopen(source.address, timeout=60) as answer,
            beside.open("wb") as file,
        ):
            while block := answer.read(1 << 20):
                digest.update(block)
                file.write(block)
        if not digest.hexdigest().startswith(source.sha256):
            raise MethodError(
                f"network {name}: {source.address} has sha256 {digest.hexdigest()}, expected "
                f"{source.sha256}; nothing was kept. Give the right file with --weights PATH."
            )
        beside.replace(path)
    except (OSError, http.client.HTTPException) as error:  # urllib's errors are OSErrors
        raise MethodError(
            f"network {name}: its weights could not be fetched ({_one_line(error)}); fetch "
            f"{source.address} (sha256 {source.sha256}) elsewhere and give it with --weights PATH."
        ) from error
    finally:
        beside.unlink(missing_ok=True)
    return path


def hub_file(address: str, name: str) -> Path:
    """The file `hf://OWNER/NAME[@REVISION]/FILE` in the hub's cache, fetched if need be.

    Without a revision, the one that is current at the first use is written into
    `revisions/OWNER--NAME` below the cache folder, and stays in use until that file is deleted.

    Raises:
        MethodError: the address has another form, or the hub does not give the file.
    """
    import huggingface_hub

    parts = _HUB.fullmatch(address)
    if parts is None:
        raise MethodError(
            f"{address}: an address {HUB_FORM} was expected, its revision 40 hexadecimal digits."
        )
    repository, revision = parts["repository"], parts["revision"]
    noted = cache_folder() / "revisions" / repository.replace("/", "--")
    try:
        if revision is None and noted.is_file():
            revision = noted.read_text("utf-8").strip()
        elif revision is None:
            revision = str(huggingface_hub.HfApi().model_info(repository).sha)
            noted.parent.mkdir(parents=True, exist_ok=True)
            beside = noted.with_name(f"{noted.name}.{os.getpid()}.part")
            beside.write_text(f"{revision}\n", "utf-8")
            beside.replace(noted)
        return Path(huggingface_hub.hf_hub_download(repository, parts["file"], revision=revision))
    except Exception as error:
        package = type(error).__module__.split(".")[0]
        if not isinstance(error, OSError) and package not in HUB_CLIENT:
            raise
        at = f"{repository} at revision {revision}" if revision else repository
        raise MethodError(
            f"network {name}: {parts['file']} of {at} could not be fetched from the hub "
            f"({_one_line(error)}); fetch it elsewhere and give it with --weights PATH."
        ) from error


def read_weights(path: Path) -> dict[str, Tensor]:
    """The state dict in a file that ends as one of `ENDINGS`, on the CPU; no code in it is run.

    A training checkpoint that keeps the state dict under "state_dict" or, as detectron2 does,
    under "model" is unwrapped. Besides torch's own files a .pkl may be a plain pickle of arrays.
    """
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        if path.suffix not in ENDINGS:
            raise MethodError(f"{path}: weights end in .safetensors, .pth, .pt, .bin or .pkl.")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd pickles, which are read or refused anyway
            if path.suffix == ".pkl" and not zipfile.is_zipfile(path):  # as torch's files are
                found = read_arrays(path)
            else:
                with torch.serialization.safe_globals(_NUMPY_SCALARS):
                    found = torch.load(path, map_location="cpu", weights_only=True)
    except MethodError:
        raise
    except pickle.UnpicklingError as error:
        raise MethodError(
            f"{path}: holds pickled objects other than tensors, or is damaged; pickled code is "
            "never run, so save the state dict alone, as .safetensors."
        ) from error
    except (safetensors.SafetensorError, RuntimeError, ValueError, EOFError, OSError) as error:
        raise MethodError(f"{path}: the weights cannot be read: {_one_line(error)}.") from error
    except Exception as error:  # bytes that are no weights make torch raise nearly anything
        raise MethodError(
            f"{path}: the weights cannot be read ({type(error).__name__}); no weights are in it."
        ) from error
    for name in ("state_dict", "model"):
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
    if not isinstance(found, Mapping) or not all(isinstance(v, Tensor) for v in found.values()):
        kinds = ", ".join(map(str, found)) if isinstance(found, Mapping) else type(found).__name__
        raise MethodError(f"{path}: a state dict (name to tensor) was expected, found {kinds}.")
    return dict(found)


def fitted_on(folder: Path) -> tuple[str, ...]:
    """Names of the data that the fit in `folder` has learned from; () where nothing says so."""
    try:
        told = json.loads((folder / "fit.json").read_text("utf-8"))
        seen, proxies = str(told["dataset"]), told.get("outliers")
    except (OSError, ValueError, KeyError, TypeError):  # somebody's own folder
        return ()
    return (seen, proxies, f"{proxies} as proxy outliers") if proxies else (seen,)


def load_strictly(network: nn.Module, state: Mapping[str, Tensor], *, where: str) -> None:
    """Copies `state` into `network`; every key must be there, known, and of the right shape.

    Only the counters of batch normalisation, which older files lack and nothing here reads, may
    be missing.
    """
    own = network.state_dict()
    counters = {key: own[key] for key in own if key.endswith("num_batches_tracked")}
    state = {**counters, **state}
    problems = {
        "missing": [key for key in own if key not in state],
        "unexpected": [key for key in state if key not in own],
        "misshaped": [
            f"{key} {_shape(state[key])} instead of {_shape(own[key])}"
            for key in own
            if key in state and state[key].shape != own[key].shape
        ],
    }
    if any(problems.values()):
        told = "; ".join(f"{kind}: {_listed(keys)}" for kind, keys in problems.items() if keys)
        raise MethodError(f"{where}: not the weights of {type(network).__name__}; {told}.")
    network.load_state_dict(state)


def _listed(keys: Iterable[str], most: int = 8) -> str:
    keys = list(keys)
    more = f" and {len(keys) - most} more" if len(keys) > most else ""
    return ", ".join(keys[:most]) + more


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _one_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")

"""The device that a network runs on, by its name, and what a run records of it."""

import torch

from harness.errors import MethodError


def device_named(name: str) -> torch.device:
    """The torch device called `name`; "auto" is CUDA where there is one, else the CPU.

    Raises:
        MethodError: there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        raise MethodError(
            f"device '{name}' is not there: {str(error).splitlines()[0].rstrip('.')}; "
            "use auto, cpu, cuda or cuda:N."
        ) from error
    return device


def description(device: torch.device) -> dict[str, str]:
    """What a run records of `device`: its kind, its name, the versions that decide its digits."""
    facts = {"device": device.type, "threads": str(torch.get_num_threads())}
    if device.type == "cuda":
        facts["device_name"] = torch.cuda.get_device_name(device)
        facts["cuda"] = str(torch.version.cuda)
        facts["cudnn"] = str(torch.backends.cudnn.version())
    return facts

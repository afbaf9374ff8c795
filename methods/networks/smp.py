"""Networks of segmentation_models_pytorch, as smp:ARCHITECTURE:ENCODER, for one's own weights."""

import functools
from types import ModuleType

import torch.nn.functional as F
from torch import Tensor

from harness.errors import MethodError, unknown_name
from methods._network import CLASSES, IMAGENET_MEAN, IMAGENET_STD, Network

VARIANTS = {}  # too many to list: `network` makes them by name


class _Smp(Network):
    """A network of the package with 19 outputs.

    Logits have the size of the batch, as the package gives them; features (what the decoder
    gives) have the decoder's stride. The batch is padded with zeros, below and on the right, to
    the multiple that the encoder needs. Features are cropped to the batch before the head, so that
    logits are those of the features; and so are logits, after it.
    """

    paper = "https://github.com/qubvel-org/segmentation_models.pytorch"
    mean, std = IMAGENET_MEAN, IMAGENET_STD
    architecture, encoder_name = "", ""

    def __init__(self) -> None:
        super().__init__()
        model = _package().create_model(
            self.architecture, encoder_name=self.encoder_name, encoder_weights=None, classes=CLASSES
        )
        self.encoder, self.decoder = model.encoder, model.decoder
        self.segmentation_head = model.segmentation_head
        self.divisor = model.encoder.output_stride

    def forward(self, batch: Tensor) -> dict[str, Tensor]:
        height, width = batch.shape[-2:]
        padded = F.pad(batch, (0, -width % self.divisor, 0, -height % self.divisor))
        features = self.decoder(self.encoder(padded))
        rows, columns = (
            -(-side * of_padded // whole)
            for side, of_padded, whole in zip(
                (height, width), features.shape[-2:], padded.shape[-2:], strict=True
            )
        )
        features = features[..., :rows, :columns]
        return {"logits": self.classify(features)[..., :height, :width], "features": features}

    def classify(self, features: Tensor) -> Tensor:
        return self.segmentation_head(features)


@functools.cache
def network(name: str) -> type[Network]:
    """The class of `smp:ARCHITECTURE:ENCODER`, for example smp:Unet:resnet34.

    Raises:
        UnknownName: the package has no such architecture or encoder.
        MethodError: the name has another form, or the package is not installed.
    """
    parts = name.split(":")
    if len(parts) != 3:
        raise MethodError(f"{name}: smp:ARCHITECTURE:ENCODER was expected, e.g. smp:Unet:resnet34.")
    _, architecture, encoder = parts
    package = _package()
    architectures = package.MODEL_ARCHITECTURES_MAPPING
    if architecture.lower() not in architectures:
        raise unknown_name("architecture of smp", architecture.lower(), architectures)
    encoders = package.encoders.get_encoder_names()
    if encoder not in encoders and not encoder.startswith("tu-"):  # those are timm's, by any name
        raise unknown_name("encoder of smp", encoder, encoders)
    title = f"{architectures[architecture.lower()].__name__} {encoder} (smp)"
    facts = {"architecture": architecture.lower(), "encoder_name": encoder, "title": title}
    return type("SmpNetwork", (_Smp,), {**facts, "__module__": __name__})


def _package() -> ModuleType:
    try:
        import segmentation_models_pytorch
    except ModuleNotFoundError as error:
        raise MethodError(
            f"networks smp:… need {error.name}, which is not installed; "
            "do: pip install segmentation-models-pytorch."
        ) from error
    return segmentation_models_pytorch

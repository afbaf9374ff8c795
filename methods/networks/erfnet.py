"""ERFNet: residual blocks of one-dimensional convolutions, 2.1 million parameters."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods._network import Network, Source


class ERFNet(Network):
    """The authors' Cityscapes network; attribute names are those of their checkpoint."""

    paper = "https://doi.org/10.1109/TITS.2017.2750080"  # Romera et al., IEEE T-ITS 2018
    title = "ERFNet"
    outputs = 20  # the 20th had weight 0 in the loss: unlabelled pixels were not learned
    input_size = (512, 1024)
    sources = (
        Source(
            "",
            sha256="fe83a9db719c6a0d1584495218ba57dc0d4e98ebdd9cb38790f7acc58d42ace0",
            licence="CC BY-NC 4.0",
            note=(
                "erfnet_cityscapes_dequantized.safetensors: float weights restored from an int8, "
                "20 % pruned copy of the authors' Cityscapes weights; a local file only"
            ),
        ),
    )
    parameters_expected = 2_066_836

    def __init__(self) -> None:
        super().__init__()
        self.encoder = _Encoder(self.outputs)
        self.decoder = _Decoder(self.outputs)

    def forward(self, batch: Tensor) -> dict[str, Tensor]:
        height, width = batch.shape[-2:]
        features = self.decoder.layers(self.encoder.layers(self.encoder.initial_block(batch)))
        features = features[..., : (height + 1) // 2, : (width + 1) // 2]  # sides are rounded up
        return {"logits": self.classify(features)[..., :height, :width], "features": features}

    def classify(self, features: Tensor) -> Tensor:
        return self.decoder.output_conv(features)


class _Encoder(nn.Module):
    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.initial_block = _Downsampler(3, 16)
        self.layers = nn.Sequential(
            _Downsampler(16, 64),
            *(_Residual(64, dropout=0.1) for _ in range(5)),
            _Downsampler(64, 128),
            *(_Residual(128, dropout=0.1, dilation=rate) for rate in (2, 4, 8, 16) * 2),
        )
        self.output_conv = nn.Conv2d(128, outputs, 1)  # used while the encoder alone is trained


class _Decoder(nn.Module):
    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _Upsampler(128, 64), _Residual(64), _Residual(64),
            _Upsampler(64, 16), _Residual(16), _Residual(16),
        )  # fmt: skip
        self.output_conv = nn.ConvTranspose2d(16, outputs, kernel_size=2, stride=2)


class _Downsampler(nn.Module):
    """Half the size: strided convolution beside max pooling (as ENet's initial block)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs - inputs, 3, stride=2, padding=1)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        pooled = F.max_pool2d(x, 2, ceil_mode=True)  # odd sides are rounded up, as by `conv`
        return F.relu(self.bn(torch.cat([self.conv(x), pooled], dim=1)))


class _Residual(nn.Module):
    """Non-bottleneck-1D: 3x1, 1x3, then the same dilated, around a shortcut."""

    def __init__(self, channels: int, *, dropout: float = 0.0, dilation: int = 1) -> None:
        super().__init__()

        def column(rate: int) -> nn.Conv2d:
            return nn.Conv2d(channels, channels, (3, 1), padding=(rate, 0), dilation=(rate, 1))

        def row(rate: int) -> nn.Conv2d:
            return nn.Conv2d(channels, channels, (1, 3), padding=(0, rate), dilation=(1, rate))

        self.conv3x1_1, self.conv1x3_1 = column(1), row(1)
        self.bn1 = nn.BatchNorm2d(channels, eps=1e-3)
        self.conv3x1_2, self.conv1x3_2 = column(dilation), row(dilation)
        self.bn2 = nn.BatchNorm2d(channels, eps=1e-3)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1x3_1(F.relu(self.conv3x1_1(x)))))
        y = self.bn2(self.conv1x3_2(F.relu(self.conv3x1_2(y))))
        return F.relu(self.dropout(y) + x)


class _Upsampler(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))

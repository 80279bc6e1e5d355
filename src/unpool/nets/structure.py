"""The structure of an encoder-decoder network, as one frozen value.

Most segmentation networks are an encoder that shrinks, a decoder that grows back, and some way for the decoder to
learn where things were. ``Structure`` names those choices; ``EncoderDecoder`` runs any of them; a paper's network
is one value (see ``unpool.nets.named``).
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from unpool.geometry import Padding, Rounding

Width = Annotated[int, Field(ge=1, le=4096)]


class Structure(BaseModel):
    """What a network is made of, stage by stage; image channels and classes come from the data.

    Attributes
    ----------
    widths: feature maps of each encoder stage, from the picture downwards; a 2x2 max-pooling follows each stage.
    bottom: feature maps of the convolutions below the last pooling, or 0 where the decoder begins at once.
    encoder_convolutions, decoder_convolutions: convolutions in a stage.
    kernel: side of every convolution, odd.
    padding: ``same`` keeps the size, ``valid`` uses no padding and loses ``kernel - 1`` pixels a convolution.
    norm: what follows each convolution; ``group`` and ``instance`` look at the whole picture and so depend on tiles.
    encoder_relu, decoder_relu: whether a ReLU follows.
    bias: whether convolutions in stages have a bias.
    input_norm: ``lrn`` puts local response normalisation before the first convolution.
    pooling_rounding: ``floor`` drops an odd last row, ``ceil`` keeps it, as Caffe does.
    skip: what crosses from encoder to decoder: ``none``, ``index`` (positions of the maxima), ``add`` or
        ``concat`` (feature maps, cropped at the centre where they are larger).
    up: how a decoder stage doubles the size.
    dropout: share of feature maps set to 0 after the last encoder stage and after the bottom.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    widths: tuple[Width, ...] = Field(min_length=1, max_length=8)
    bottom: int = Field(0, ge=0, le=4096)
    encoder_convolutions: int = Field(2, ge=1, le=8)
    decoder_convolutions: int = Field(2, ge=1, le=8)
    kernel: int = Field(3, ge=1, le=15)
    padding: Padding = "same"
    norm: Literal["none", "batch", "group", "instance"] = "batch"
    encoder_relu: bool = True
    decoder_relu: bool = True
    bias: bool = True
    input_norm: Literal["none", "lrn"] = "none"
    pooling_rounding: Rounding = "floor"
    skip: Literal["none", "index", "add", "concat"] = "concat"
    up: Literal["unpool", "transposed", "bilinear", "nearest"] = "transposed"
    dropout: float = Field(0.0, ge=0.0, lt=1.0)

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel {self.kernel} is even; a centred convolution needs an odd kernel")
        if self.skip == "index" and self.up != "unpool":
            raise ValueError(f"skip 'index' carries pooling positions, which up '{self.up}' cannot use; set up=unpool")
        if self.up == "unpool" and self.skip == "none":
            raise ValueError("up 'unpool' needs the pooling positions; set skip=index, add or concat")
        if self.up == "unpool" and self.padding == "valid":
            raise ValueError("up 'unpool' puts values back where they were pooled, so it needs padding=same")
        if self.up == "unpool" and self.bottom not in (0, self.widths[-1]):
            raise ValueError(
                f"up 'unpool' needs as many maps below the last pooling as above it: bottom {self.bottom} "
                f"against {self.widths[-1]}"
            )
        if self.pooling_rounding == "ceil" and self.up != "unpool":
            raise ValueError(f"pooling_rounding 'ceil' makes odd sizes that up '{self.up}' cannot restore; use floor")
        if self.norm == "group" and any(width % GROUPS for width in self._all_widths()):
            raise ValueError(f"norm 'group' needs widths that are multiples of {GROUPS}: {self._all_widths()}")
        return self

    @property
    def stride(self) -> int:
        """Pixels of the picture between neighbouring pixels below the last pooling."""
        return 1 << len(self.widths)

    def stage_outputs(self) -> tuple[int, ...]:
        """Feature maps that leave each decoder stage, in encoder order.

        Unpooling keeps the number of maps, so there a stage must end with as many as the stage above was pooled
        from (SegNet's conv4_1_D: 512 to 256).
        """
        if self.up != "unpool":
            return self.widths
        return (self.widths[0], *self.widths[:-1])

    def _all_widths(self) -> tuple[int, ...]:
        return (*self.widths, self.bottom) if self.bottom else self.widths


GROUPS = 8
"""Groups of ``norm='group'``."""

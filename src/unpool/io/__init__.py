"""Bytes to arrays and back: pictures, masks and small text files."""

from unpool.io.band_form import BandForm
from unpool.io.bands import BandWriter, mask_suffix, open_band_writer, open_mask_writer, size_of, suffix_of
from unpool.io.files import atomic_path, read_json, safe_child, write_bytes, write_json, write_text
from unpool.io.images import IMAGE_SUFFIXES, ImageInfo, image_info, plain_pixels, read_image, write_image
from unpool.io.masks import mask_palette, read_mask, write_mask
from unpool.io.placement import Placement
from unpool.io.windows import PictureFile, open_picture
from unpool.io.zarrs import is_zarr

__all__ = [
    "IMAGE_SUFFIXES",
    "BandForm",
    "BandWriter",
    "ImageInfo",
    "PictureFile",
    "Placement",
    "atomic_path",
    "image_info",
    "is_zarr",
    "mask_palette",
    "mask_suffix",
    "open_band_writer",
    "open_mask_writer",
    "open_picture",
    "plain_pixels",
    "read_image",
    "read_json",
    "read_mask",
    "safe_child",
    "size_of",
    "suffix_of",
    "write_bytes",
    "write_image",
    "write_json",
    "write_mask",
    "write_text",
]

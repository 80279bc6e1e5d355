"""Bytes to arrays and back: pictures, masks and small text files."""

from unpool.io.files import atomic_path, read_json, safe_child, write_bytes, write_json, write_text
from unpool.io.images import IMAGE_SUFFIXES, ImageInfo, image_info, plain_pixels, read_image, write_image
from unpool.io.masks import mask_palette, read_mask, write_mask

__all__ = [
    "IMAGE_SUFFIXES",
    "ImageInfo",
    "atomic_path",
    "image_info",
    "mask_palette",
    "plain_pixels",
    "read_image",
    "read_json",
    "read_mask",
    "safe_child",
    "write_bytes",
    "write_image",
    "write_json",
    "write_mask",
    "write_text",
]

"""Formats of pictures and masks that are not read: what each is, and the line that converts its files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from unpool.wording import command_text, python_line

ARCHIVE_SUFFIXES = frozenset({".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"})
"""Suffixes, in lower case, of archives that Python unpacks."""


class ForeignFormat(NamedTuple):
    """A format that is not read.

    Attributes
    ----------
    what: what it is, in a few words.
    needs: the packages that the line needs, as pip names them; empty for none.
    imports: modules that the line imports, with commas.
    each: an expression that is evaluated for each file: ``f`` is its path, ``t`` its path without suffix.
    repair: what to do where no line of Python is known.
    """

    what: str
    needs: str = ""
    imports: str = ""
    each: str = ""
    repair: str = ""

    def repair_text(self, root: Path, suffix: str) -> str:
        """Return what to do with all files of this format below a folder.

        Parameters
        ----------
        suffix: as the files have it, with its capital letters.
        """
        if not self.each:
            return self.repair.format(root=command_text([root]), suffix=suffix)
        code = (
            f"import glob, sys, {self.imports}; [{self.each} for f in "
            f"glob.glob(glob.escape(sys.argv[1]) + '/**/*{suffix}', recursive=True) for t in [f[:-{len(suffix)}]]]"
        )
        install = f"pip install {self.needs}, then " if self.needs else ""
        return f"{install}{python_line(code, root)}"


def _array(array: str) -> str:
    """Return the expression that writes an array as a TIFF: colours where its last axis has three, else pages."""
    return (
        f"tifffile.imwrite(t + '.tif', a, photometric='rgb' if a.shape[-1] == 3 else 'minisblack') for a in [{array}]"
    )


def _arrays(what: str, package: str, module: str, array: str) -> ForeignFormat:
    each = f"[{_array(array)}]"
    return ForeignFormat(what, package, f"tifffile, {module}", each)


_NIFTI = ForeignFormat(
    "NIfTI, volumes of medical scanners",
    "nibabel",
    "tifffile, nibabel",
    "tifffile.imwrite(t + '.tif', nibabel.load(f).get_fdata(dtype='float32').T, photometric='minisblack')",
)
_DICOM = _arrays("DICOM, pictures of medical scanners", "pydicom", "pydicom", "pydicom.dcmread(f).pixel_array * 1.0")
_ITK = _arrays(
    "a volume of ITK",
    "SimpleITK",
    "SimpleITK",
    "SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(f)).astype('float32')",
)
_HDF5 = ForeignFormat(
    "HDF5, arrays with names",
    "h5py",
    "h5py, os, tifffile",
    "h5py.File(f).visititems(lambda n, d: getattr(d, 'ndim', 0) > 1 and [os.makedirs(sys.argv[1] + '/' + n, "
    "exist_ok=True), tifffile.imwrite(sys.argv[1] + '/' + n + '/' + os.path.basename(t) + '.tif', d[()], "
    "photometric='rgb' if d.shape[-1] == 3 else 'minisblack')] and None or None)",
)
_MICROSCOPE = "in Fiji: File, Import, Bio-Formats; then File, Save As, Tiff, into the same folder"
_FIJI = ForeignFormat("a format of microscopes", repair=_MICROSCOPE)
_SLIDE = ForeignFormat(
    "a scanned slide",
    "openslide-python openslide-bin",
    "numpy, openslide, tifffile",
    "[tifffile.imwrite(t + '.tif', (numpy.asarray(s.read_region((x, y), 0, (512, 512)).convert('RGB')) for y in "
    "range(0, s.dimensions[1], 512) for x in range(0, s.dimensions[0], 512)), shape=(*s.dimensions[::-1], 3), "
    "dtype='uint8', tile=(512, 512), compression='zlib', bigtiff=True, photometric='rgb') for s in "
    "[openslide.OpenSlide(f)]]",
)
_PILLOW = ForeignFormat("pictures", "", "PIL.Image", "PIL.Image.open(f).save(t + '.png')")
_CAMERA = _arrays("raw pictures of a camera", "rawpy", "rawpy", "rawpy.imread(f).postprocess()")
_ARCHIVE = ForeignFormat("an archive", "", "shutil", "shutil.unpack_archive(f, t)")
_PARQUET = ForeignFormat(
    "a table, as Hugging Face has them",
    "pandas pyarrow",
    "os, pandas",
    "[(os.makedirs(sys.argv[1] + '/' + c, exist_ok=True), open(f'{sys.argv[1]}/{c}/{os.path.basename(t)}_{i}.png', "
    "'wb').write(v['bytes'])) for i, r in pandas.read_parquet(f).iterrows() for c, v in r.items() if isinstance(v, "
    "dict) and v.get('bytes')]",
)
_TFRECORD = ForeignFormat(
    "records of TensorFlow",
    "tfrecord",
    "os, tfrecord",
    "[(os.makedirs(p, exist_ok=True), open(f'{p}/{os.path.basename(t)}_{i}.png', 'wb').write(bytes(v))) for i, r in "
    "enumerate(tfrecord.tfrecord_loader(f, None)) for k, v in r.items() if bytes(v[:2]) in (b'\\x89P', b'\\xff\\xd8') "
    "for p in [sys.argv[1] + '/' + k.split('/')[-2 if k.endswith('/encoded') else -1]]]",
)
_PICKLE = ForeignFormat(
    "stored Python objects, which may run code",
    repair="they are not opened; in the program that wrote them, save each array with numpy.save as .npy",
)
_NUMBERS = ForeignFormat(
    "bytes without a stated size", repair="save them as PNG or TIFF in the program that wrote them"
)
_DRAWING = ForeignFormat("drawn shapes", repair="export them as PNG files of the pictures' size")
_MAP = ForeignFormat(
    "shapes on a map",
    repair="draw them into a mask of the picture's size, for example with gdal_rasterize or QGIS, and save it as TIFF",
)
_TIFF_LIKE = _arrays("a TIFF of a microscope", "", "numpy", "numpy.squeeze(tifffile.imread(f))")

DICOM_BY_CONTENT = "DICOM"
"""The name, in place of a suffix, of DICOM's files whose names do not say so, as scanners write them."""
DICOM_FILES = ForeignFormat(
    "pictures of medical scanners, whose names do not say so",
    repair="pip install pydicom, then "
    "python -c \"import glob, os, sys, tifffile, pydicom, pydicom.misc; [tifffile.imwrite(f + '.tif', "
    "pydicom.dcmread(f).pixel_array * 1.0, photometric='minisblack') for f in glob.glob(glob.escape(sys.argv[1]) + "
    "'/**/*', recursive=True) if os.path.isfile(f) and pydicom.misc.is_dicom(f)]\" {root}",
)

FOREIGN_FORMATS: Mapping[str, ForeignFormat] = {
    **dict.fromkeys(sorted(ARCHIVE_SUFFIXES), _ARCHIVE),
    ".7z": ForeignFormat("an archive", "py7zr", "py7zr", "py7zr.SevenZipFile(f).extractall(t)"),
    ".rar": ForeignFormat("an archive", repair="unpack it, with unrar or 7-Zip"),
    **dict.fromkeys((".nii", ".nii.gz"), _NIFTI),
    **dict.fromkeys((".dcm", ".dicom", ".ima"), _DICOM),
    **dict.fromkeys((".mha", ".mhd", ".nrrd"), _ITK),
    **dict.fromkeys((".h5", ".hdf5", ".hdf", ".nc", ".ims", ".ilp"), _HDF5),
    ".czi": _arrays("CZI of Zeiss' microscopes", "czifile", "czifile, numpy", "numpy.squeeze(czifile.imread(f))"),
    ".nd2": _arrays("ND2 of Nikon's microscopes", "nd2", "nd2", "nd2.imread(f)"),
    ".lif": ForeignFormat(
        "LIF of Leica's microscopes",
        "liffile",
        "liffile, tifffile",
        "[tifffile.imwrite(f'{t}_{i}.tif', m.asarray(), photometric='minisblack') for i, m in "
        "enumerate(liffile.LifFile(f).images)]",
    ),
    **dict.fromkeys((".oib", ".oif"), _arrays("of Olympus' microscopes", "oiffile", "oiffile", "oiffile.imread(f)")),
    **dict.fromkeys((".lsm", ".stk"), _TIFF_LIKE),
    **dict.fromkeys((".vsi", ".dv"), _FIJI),
    **dict.fromkeys((".ndpi", ".scn", ".mrxs", ".bif"), _SLIDE),
    **dict.fromkeys(
        (".mrc", ".rec"), _arrays("a volume of electron microscopy", "mrcfile", "mrcfile", "mrcfile.read(f)")
    ),
    ".parquet": _PARQUET,
    **dict.fromkeys((".tfrecord", ".tfrecords"), _TFRECORD),
    ".npy": _arrays("arrays of NumPy, which are read where no picture files are pairs", "", "numpy", "numpy.load(f)"),
    ".npz": ForeignFormat(
        "arrays of NumPy, which are read where no picture files are pairs",
        "",
        "numpy, tifffile",
        "[tifffile.imwrite(f'{t}_{n}.tif', a, photometric='minisblack') for n, a in numpy.load(f).items() "
        "if a.ndim > 1]",
    ),
    ".mat": ForeignFormat(
        "arrays of MATLAB, which are read where no picture files are pairs",
        "",
        "scipy.io, tifffile",
        "[tifffile.imwrite(f'{t}_{n}.tif', a) for n, a in scipy.io.loadmat(f).items() if getattr(a, 'ndim', 0) == 2 "
        "and a.dtype.kind in 'bui']",
    ),
    **dict.fromkeys((".jp2", ".j2k", ".tga", ".psd", ".ico", ".eps", ".dds"), _PILLOW),
    ".avif": _PILLOW,
    **dict.fromkeys(
        (".heic", ".heif"),
        ForeignFormat(
            "pictures of a telephone",
            "pillow-heif",
            "PIL.Image, pillow_heif",
            "(pillow_heif.register_heif_opener(), PIL.Image.open(f).save(t + '.png'))",
        ),
    ),
    ".jxl": ForeignFormat(
        "pictures", "pillow-jxl-plugin", "PIL.Image, pillow_jxl", "PIL.Image.open(f).save(t + '.png')"
    ),
    **dict.fromkeys((".dng", ".cr2", ".nef", ".arw"), _CAMERA),
    **dict.fromkeys((".pt", ".pth", ".pkl"), _PICKLE),
    **dict.fromkeys((".raw", ".bin"), _NUMBERS),
    **dict.fromkeys((".svg", ".pdf"), _DRAWING),
    **dict.fromkeys((".shp", ".gpkg", ".kml"), _MAP),
    **dict.fromkeys((".exr", ".hdr", ".pfm"), ForeignFormat("numbers in floating point", repair="save them as TIFF")),
    ".zarr": ForeignFormat(
        "chunks of an array, which predict reads",
        "zarr",
        "tifffile, zarr, glob",
        "tifffile.imwrite(t + '.tif', zarr.open(f, mode='r')['0'][:].squeeze())",
    ),
    ".rle": ForeignFormat("masks in run-length codes", repair="save the masks as PNG files of the pictures' size"),
}
"""The formats by suffix, in lower case."""

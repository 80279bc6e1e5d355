"""A model for other programs: as ONNX, as torch.export, as a package of the BioImage Model Zoo."""

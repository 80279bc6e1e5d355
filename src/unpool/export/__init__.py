"""A model as others run it: ONNX, torch.export, a package of the BioImage Model Zoo; each proven equal."""

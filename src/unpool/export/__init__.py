"""A model as other programs run it: ONNX, torch.export, a package of the BioImage Model Zoo."""

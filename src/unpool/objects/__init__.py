"""Single objects in a prediction of classes: touching ones separated, numbered and measured."""

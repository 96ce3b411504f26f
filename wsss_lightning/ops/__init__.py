"""Pure maths of the papers: tensors or arrays in, tensors or arrays out."""

"""From a trained model to one's own pictures: no data set, no store, no Hydra."""

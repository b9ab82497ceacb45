"""Create the models of the zoo: training images with credits, publication, model cards."""

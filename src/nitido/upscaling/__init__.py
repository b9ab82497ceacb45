"""A model applied to real images and folders of them, with everything that the files carry."""

"""How fast nitido is on this machine: training, data and upscaling, each beside what it is to be compared with."""

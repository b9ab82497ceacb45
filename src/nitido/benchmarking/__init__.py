"""Measure the speed of nitido on this machine: training, data and upscaling, each against a reference."""

"""What every package stands on: errors, files and folders, registries, messages. Imports nothing else of nitido."""

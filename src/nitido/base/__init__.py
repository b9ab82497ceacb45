"""The foundation of all packages: errors, files and folders, registries, messages. Imports nothing else of nitido."""

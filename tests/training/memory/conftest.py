"""Control groups can be made by whom the system lets: elsewhere their tests are not collected."""

from tests.training.memory.control_groups import control_group

with control_group(1 << 30) as group:
    collect_ignore = [] if group else ["test_control_groups.py"]

"""A prompt whose template was found."""

from __future__ import annotations

from dataclasses import replace

from fewbench.nn.backbone import Backbone
from fewbench.nn.prompt import PromptModel
from fewbench.types import Json, Task


class FoundPromptModel(PromptModel):
    """A prompt with a template of its own in the place of the task's."""

    def __init__(self, backbone: Backbone, task: Task, *, template: str) -> None:
        super().__init__(backbone, replace(task, template=template))

    def blueprint(self) -> Json:
        """Return the template."""
        return {"template": self.task.template}

"""Turn a model's dropout off, where two passes over the same answers are compared.

Paper: none.
"""

import torch


def turn_off_dropout(model: torch.nn.Module) -> None:
    """Make every pass of a model compute the same, in training too.

    TRL's `disable_dropout` finds layers; attention of most architectures has its dropout as a number.
    """
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        for name, value in vars(module).items():
            if name.endswith(("dropout", "layerdrop")) and isinstance(value, float):
                setattr(module, name, 0.0)

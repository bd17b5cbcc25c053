"""Training `sam`: sharpness-aware minimisation, which seeks weights whose whole neighbourhood is good.

Foret, Kleiner, Mobahi, Neyshabur 2021, "Sharpness-Aware Minimization for Efficiently Improving
Generalization", ICLR (arXiv 2010.01412), equations 2 and 3 with p = 2. Each step computes two
gradients of the same batch:

    e = rho g / |g|_2,  g = gradient of L at w;    the optimizer moves w along the gradient of L at w + e.

rho is ``sam.rho``. The groups of images are not used: a flat minimum may serve small groups better.

Choices where the paper leaves one open:

- The norm is over all tuned parameters; weight decay is no part of L.
- Both gradients have the same dropout and drop path, so that they are of the same function.
- Running statistics (batch norm) are those of the first forward pass; the second, at weights that
  are never used, leaves none.
- With several processes, e follows from the gradient of the whole batch. The paper's section 4.1
  computes one e per accelerator (m-sharpness), with which results would depend on their number.
"""

import torch

from medaudit.adapt.finetune.trainer import Batch
from medaudit.adapt.finetune.trainer import Trainer as BaseTrainer


class Trainer(BaseTrainer):
    """Steps along the gradient at the weights that an ascent step has reached.

    Parameters
    ----------
    network, entry, multiclass, key, train
        See `medaudit.adapt.finetune.trainer.Trainer`; `entry` also has ``sam`` (``rho``).
    """

    def compute_gradients(self, batch: Batch, step: int, level: int) -> torch.Tensor:
        """Set the sharpness-aware gradients; return the loss at the current weights, detached."""
        value = super().compute_gradients(batch, step, level)
        tuned = [p for p in self.network.parameters() if p.grad is not None]
        before = [parameter.detach().clone() for parameter in tuned]
        buffers = [buffer.clone() for buffer in self.network.buffers()]
        ascend(tuned, self.entry["sam"]["rho"])
        super().compute_gradients(batch, step, level)
        with torch.no_grad():
            # Copied back: adding and subtracting e would leave rounding errors in the weights.
            torch._foreach_copy_(tuned, before)
            for buffer, kept in zip(self.network.buffers(), buffers, strict=True):
                buffer.copy_(kept)
        return value


@torch.no_grad()
def ascend(parameters: list[torch.nn.Parameter], rho: float) -> None:
    """Add e = rho g / |g| to parameters that have gradients g.

    Parameters
    ----------
    parameters : list of torch.nn.Parameter
        Changed in place. Without a finite gradient (float16 overflow), or at g = 0, they stay.
    rho : float
        Length of e.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = torch.stack([gradient.float().norm() for gradient in gradients]).norm()
    scale = torch.where(torch.isfinite(norm) & (norm > 0), rho / norm, 0.0)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        # An infinite gradient times 0 is NaN; the scaler will skip this step.
        parameter.add_((gradient * scale).nan_to_num(nan=0.0))

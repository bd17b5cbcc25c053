"""A model in an ONNX file, run by onnxruntime: a vendor's or a group's own, without its Python."""

from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import torch

from medaudit.core.errors import MedauditError
from medaudit.models.exported import read_signature
from medaudit.models.exported.module import exported_encoder
from medaudit.models.exported.signature import Signature, named, problems
from medaudit.models.interface import ModelSettings
from medaudit.models.torch_encoder import TorchEncoder
from medaudit.models.weights.files import check_sha256, resolve_weights


def build(settings: ModelSettings) -> TorchEncoder:
    """Build the encoder of an ONNX file.

    Parameters
    ----------
    settings : dict
        ``weights`` (an ``.onnx``) and ``sha256`` (may be null); ``input``: preprocessing
        (`medaudit.models.interface.ImageInput`), ``range``, ``layout`` and the input's ``name``;
        ``output``: its ``name``, what it ``holds``, and ``pooling``.

    Raises
    ------
    MedauditError
        The file is damaged, onnxruntime cannot run it, or it does not fit the entry.
    """
    path = resolve_weights(settings)
    check_sha256(path, settings.get("sha256"))
    signature = read_signature(settings)
    assert signature is not None  # only TorchScript has none
    wrong = list(problems(signature, settings, f"model {settings.get('name', 'onnx')} ({path})"))
    if wrong:
        raise MedauditError("the model does not fit its entry:", wrong)
    session = OnnxSession(path, signature, settings)
    return exported_encoder(session, settings, signature, {"onnxruntime": version("onnxruntime")})


class OnnxSession:
    """Runs an ONNX file on the CPU, with as many threads as torch has at the time.

    Parameters
    ----------
    path : Path
        The file.
    signature : Signature
        Its inputs and outputs.
    settings : dict
        The catalogue entry.
    """

    def __init__(self, path: Path, signature: Signature, settings: ModelSettings) -> None:
        self.path = path
        entry: Any = settings
        self.input = named(signature.inputs, entry["input"].get("name")).name  # type: ignore[union-attr]
        self.output = named(signature.outputs, entry["output"].get("name")).name  # type: ignore[union-attr]
        self.threads, self.session = 0, cast(Any, None)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return the output for a batch as the file wants it."""
        threads = torch.get_num_threads()
        if self.session is None or threads != self.threads:
            self.threads, self.session = threads, self._open(threads)
        try:
            (output,) = self.session.run([self.output], {self.input: images.numpy()})
        except Exception as error:  # onnxruntime's errors have no common class
            raise MedauditError(f"{self.path}: onnxruntime cannot run it: {error}") from error
        return torch.from_numpy(output)

    def _open(self, threads: int) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.use_deterministic_compute = True
        options.log_severity_level = 3
        try:
            return onnxruntime.InferenceSession(
                str(self.path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's errors have no common class
            raise MedauditError(
                f"{self.path}: onnxruntime cannot load it: {error}; export it again with a standard "
                "opset and without custom operators"
            ) from error

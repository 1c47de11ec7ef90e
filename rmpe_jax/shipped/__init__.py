"""The networks that come with the package, and the pose NMS learned for them: see README.md here.

They are what is used where no other is named: `rmpe_jax.load()`, `rmpe predict photo.jpg`.
"""

from pathlib import Path

HERE = Path(__file__).parent
POSE = HERE / "pose.safetensors"
DETECTOR = HERE / "detector.safetensors"
NMS = HERE / "nms.json"

# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The explorer in a notebook: a kernel with ipympl, and what a browser would send and show.

The kernel runs in a process of its own, as Jupyter starts it. The test takes the browser's side of
the widget's messages: mouse and keys go out, pictures come in.
"""

import io
import json
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image

# Not imported here: ipympl makes itself the backend of the process, so of all other tests.
if missing := [name for name in ("ipympl", "ipykernel") if find_spec(name) is None]:
    pytest.skip(f"{missing[0]} is not installed", allow_module_level=True)
jupyter_client = pytest.importorskip("jupyter_client", reason="jupyter_client is not installed")

OPEN = """
%matplotlib widget
import json, os
import hyperspy.api as hs
import hs_rvae
hs.preferences.General.show_progressbar = False
folder = os.environ["TOOLKITS_FOLDER"]
stack = hs.load(os.path.join(folder, "stack.zspy"))
stack._rvae_model = hs_rvae.RVAE.load(os.path.join(folder, "model.safetensors"))
"""
# Where sites and panels are, in pixels from the upper left corner.
WHERE = """
figure = explorer.figure
def from_above(points):
    return [[float(x), float(figure.bbox.height - y)] for x, y in points]
points = stack.sites.xy * stack.sites.pixel_size + stack.sites.pixel_offset
print(json.dumps({
    "map": from_above(explorer.map_ax.transData.transform(points)),
    "scatter": from_above(
        explorer.scatter_ax.transData.transform(stack.sites[["latent_0", "latent_1"]])
    ),
    "panels": {
        name: from_above(getattr(explorer, name).get_window_extent().get_points())
        for name in ("map_ax", "scatter_ax", "sub_image_ax", "model_ax", "posterior_ax")
    },
}))
"""

SAVE = """
import matplotlib.image
matplotlib.image.imsave(os.path.join(folder, "drawn.png"), explorer.figure.canvas.buffer_rgba())
"""


class Browser:
    """The front end of one kernel: it composes the pictures of its canvases."""

    def __init__(self, client):
        self._client = client
        self.canvases, self.pictures, self.errors = [], {}, []
        self._modes, self._to_draw = {}, set()

    def run(self, code):
        """Run a cell; what it has printed."""
        sent = self._client.execute(code)
        said = []
        while True:
            message = self._client.get_iopub_msg(timeout=120)
            kind, content = message["msg_type"], message["content"]
            if kind == "stream" and content["name"] == "stdout":
                said.append(content["text"])
            elif kind == "error":
                raise RuntimeError("\n".join(content["traceback"]))
            elif kind == "status" and content["execution_state"] == "idle":
                if message["parent_header"].get("msg_id") == sent:
                    return "".join(said)
            else:
                self._take(message)

    def send(self, canvas, kind, **content):
        """One message of the widget, and the answers to what the kernel says about it."""
        self._send(canvas, kind, **content)
        while self._to_draw:
            self._send(self._to_draw.pop(), "draw")

    def _send(self, canvas, kind, **content):
        """One message; wait until the kernel has dealt with it."""
        data = {"method": "custom", "content": {"type": kind, **content}}
        message = self._client.session.msg("comm_msg", {"comm_id": canvas, "data": data})
        self._client.shell_channel.send(message)
        sent = message["header"]["msg_id"]
        while True:
            message = self._client.get_iopub_msg(timeout=60)
            content = message["content"]
            if message["msg_type"] == "status" and content["execution_state"] == "idle":
                if message["parent_header"].get("msg_id") == sent:
                    return
            else:
                self._take(message)

    def _take(self, message):
        kind, content = message["msg_type"], message["content"]
        if kind == "stream" and content["name"] == "stderr":
            self.errors.append(content["text"])
        if kind == "comm_open":
            state = content["data"].get("state", {})
            if state.get("_model_name") == "MPLCanvasModel":
                self.canvases.append(content["comm_id"])
                self._modes[content["comm_id"]] = state["_image_mode"]
        if kind != "comm_msg":
            return
        canvas, data = content["comm_id"], content["data"]
        if data["method"] == "update" and "_image_mode" in data["state"]:
            self._modes[canvas] = data["state"]["_image_mode"]
        if data["method"] == "custom":
            about = json.loads(data["content"]["data"])
            if about["type"] == "draw":
                self._to_draw.add(canvas)
            elif about["type"] == "binary":
                picture = bytes(message["buffers"][0])
                # Before it knows of a browser, ipympl sends pixels as they are.
                if picture.startswith(b"\x89PNG"):
                    self._paint(canvas, Image.open(io.BytesIO(picture)).convert("RGBA"))

    def _paint(self, canvas, picture):
        """A whole picture, or one that is clear where nothing has changed."""
        below = self.pictures.get(canvas)
        if self._modes[canvas] == "full" or below is None or below.size != picture.size:
            below = Image.new("RGBA", picture.size, "white")
        self.pictures[canvas] = Image.alpha_composite(below, picture)

    def shown(self, canvas, panel):
        """What a panel shows, as RGB."""
        (x0, y1), (x1, y0) = np.round(panel).astype(int)
        return np.array(self.pictures[canvas])[y0:y1, x0:x1, :3]

    # Mouse and keys, as the widget's own script sends them.

    def _mouse(self, canvas, kind, where, buttons, modifiers=()):
        self.send(
            canvas, kind, x=where[0], y=where[1], button=0, buttons=buttons, step=0,
            modifiers=list(modifiers), guiEvent={},
        )  # fmt: skip

    def click(self, canvas, where):
        self._mouse(canvas, "button_press", where, 1)
        self._mouse(canvas, "button_release", where, 0)

    def draw(self, canvas, path, modifiers=()):
        self._mouse(canvas, "button_press", path[0], 1, modifiers)
        for place in path[1:]:
            self._mouse(canvas, "motion_notify", place, 1, modifiers)
        self._mouse(canvas, "button_release", path[-1], 0, modifiers)

    def key(self, canvas, key):
        self.send(canvas, "key_press", key=f"k{key}", guiEvent={})
        self.send(canvas, "key_release", key=f"k{key}", guiEvent={})

    def open(self, ratio):
        """What a browser says when it shows the newest canvas; the canvas."""
        canvas = self.canvases[-1]
        self._send(canvas, "set_device_pixel_ratio", device_pixel_ratio=ratio)
        self._send(canvas, "refresh")
        self._send(canvas, "send_image_mode")
        self.send(canvas, "initialized")
        return canvas


@pytest.fixture(scope="module")
def browser(environment):
    environment = {k: v for k, v in environment.items() if k != "MPLBACKEND"}
    manager, client = jupyter_client.manager.start_new_kernel(env=environment)
    try:
        browser = Browser(client)
        browser.run(OPEN)
        yield browser
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def box(corner, opposite):
    (x0, y0), (x1, y1) = corner, opposite
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]


def lonely(points):
    points = np.asarray(points)
    distance = np.hypot(*(points[:, None] - points).transpose(2, 0, 1))
    np.fill_diagonal(distance, np.inf)
    return int(distance.min(axis=1).argmax())


@pytest.mark.slow
@pytest.mark.parametrize("ratio", [1, 2])
def test_the_explorer_answers_in_a_notebook(browser, folder, ratio):
    browser.run("explorer = stack.explore()")
    canvas = browser.open(ratio)
    where = json.loads(browser.run(WHERE))
    assert browser.pictures[canvas].size == (1050 * ratio, 740 * ratio)
    panels = where["panels"]

    def site():
        return int(browser.run("print(explorer.site, end='')"))

    # A click on the map: the picture that the browser has changes, in every panel.
    chosen = len(where["map"]) // 2 + 3
    before = {name: browser.shown(canvas, panel) for name, panel in panels.items()}
    browser.click(canvas, where["map"][chosen])
    assert site() == chosen
    for name, panel in panels.items():
        assert (browser.shown(canvas, panel) != before[name]).any(), name
    # A click in the scatter moves the marker of the map.
    chosen, before = lonely(where["scatter"]), browser.shown(canvas, panels["map_ax"])
    browser.click(canvas, where["scatter"][chosen])
    assert site() == chosen and (browser.shown(canvas, panels["map_ax"]) != before).any()
    # What the browser has put together is the figure as it is.
    browser.run(SAVE)
    drawn = np.array(Image.open(folder / "drawn.png"))[..., :3].astype(int)
    assert np.abs(np.array(browser.pictures[canvas])[..., :3] - drawn).max() <= 1
    browser.key(canvas, "ArrowRight")
    assert site() == chosen + 1
    browser.key(canvas, "ArrowLeft")
    # A path, and another with shift.
    points = np.array(where["map"])
    low, high = np.quantile(points, 0.2, axis=0) + 3, np.quantile(points, 0.6, axis=0) + 3
    inside = ((points > low) & (points < high)).all(axis=1)
    browser.draw(canvas, box(low, high))
    assert int(browser.run("print(explorer.select_sites().data.shape[0])")) == inside.sum() > 10
    browser.draw(canvas, box(high, points.max(axis=0) + 1), modifiers=["shift"])
    also = ((points > high) & (points < points.max(axis=0) + 1)).all(axis=1)
    assert json.loads(browser.run("print(explorer.selection.tolist())")) == list(
        np.flatnonzero(inside | also)
    )
    browser.key(canvas, "Escape")
    assert int(browser.run("print(explorer.selection.size)")) == 0
    browser.run("explorer.close()")
    assert not browser.errors


def test_the_backend_of_all_other_tests_is_left_alone():
    import matplotlib

    assert "ipympl" not in matplotlib.get_backend()

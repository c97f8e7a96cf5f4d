# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mouse and keyboard of real windows: what Qt and Tk would get from the operating system.

Places are given in pixels of the figure, from its lower left, as Matplotlib's transforms give them.
"""

import io
import os
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest


class Hands:
    """What all toolkits share: what a user does is made of moves, presses and releases."""

    def __init__(self, figure):
        self.figure, self.canvas = figure, figure.canvas
        self.settle()

    def click(self, ax, place):
        where = ax.transData.transform(place)
        self.move(where)
        self.press(where)
        self.release(where)
        self.settle()

    def draw(self, ax, path, shift=False):
        """Draw a path with the button held."""
        corners = ax.transData.transform(path)
        self.press(corners[0], shift)
        for start, end in zip(corners[:-1], corners[1:], strict=True):
            for step in np.linspace(0, 1, 4)[1:]:
                self.move(start + step * (end - start), held=True, shift=shift)
        self.release(corners[-1], shift)
        self.settle()

    def shown(self, ax):
        """What the window shows of axes, as RGB."""
        (x0, y0), (x1, y1) = np.round(ax.get_window_extent().get_points()).astype(int)
        screen = self.screen()
        return screen[screen.shape[0] - y1 : screen.shape[0] - y0, x0:x1]


class QtHands(Hands):
    """Events as Qt gets them, through the queue of its application."""

    def __init__(self, figure):
        from matplotlib.backends.qt_compat import QtCore, QtGui, QtWidgets
        from PySide6.QtTest import QTest

        self._core, self._gui, self._test = QtCore, QtGui, QTest
        self._app = QtWidgets.QApplication.instance()
        super().__init__(figure)
        self.window = self.canvas.manager.window

    def settle(self):
        for _ in range(3):
            self._app.processEvents()
            time.sleep(0.01)

    def _point(self, where):
        ratio = self.canvas.devicePixelRatioF()
        return self._core.QPoint(
            round(where[0] / ratio), round(self.canvas.height() - where[1] / ratio)
        )

    def _modifiers(self, name=None):
        modifiers = self._core.Qt.KeyboardModifier
        return getattr(
            modifiers, {"shift": "ShiftModifier", "ctrl": "ControlModifier"}.get(name, "NoModifier")
        )

    def press(self, where, shift=False):
        left, modifiers = self._core.Qt.MouseButton.LeftButton, self._modifiers("shift" * shift)
        if shift:  # held down, as the finger does
            self._test.keyPress(self.canvas, self._core.Qt.Key.Key_Shift)
        self._test.mousePress(self.canvas, left, modifiers, self._point(where))

    def release(self, where, shift=False):
        left, modifiers = self._core.Qt.MouseButton.LeftButton, self._modifiers("shift" * shift)
        self._test.mouseRelease(self.canvas, left, modifiers, self._point(where))
        if shift:
            self._test.keyRelease(self.canvas, self._core.Qt.Key.Key_Shift)

    def move(self, where, held=False, shift=False):
        self._test.mouseMove(self.canvas, self._point(where))
        self._app.processEvents()

    def key(self, name):
        names = {"right": "Key_Right", "left": "Key_Left", "escape": "Key_Escape"}
        *held, name = name.split("+")
        key = getattr(self._core.Qt.Key, names.get(name, f"Key_{name.upper()}"))
        self._test.keyClick(self.canvas, key, self._modifiers(*held))
        self.settle()

    def resize(self, width, height):
        self.window.resize(width, height)
        self.settle()

    def close(self):
        self.window.close()
        self.settle()

    def screen(self):
        image = self.canvas.grab().toImage().convertToFormat(self._gui.QImage.Format.Format_RGB888)
        rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), -1)
        return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()


class TkHands(Hands):
    """Events as Tk gets them from the X server."""

    def __init__(self, figure):
        self.widget = figure.canvas.get_tk_widget()
        self.window = figure.canvas.manager.window
        super().__init__(figure)

    def settle(self):
        for _ in range(3):
            self.widget.update()
            time.sleep(0.01)

    def _mouse(self, name, where, **state):
        y = self.widget.winfo_height() - where[1]
        self.widget.event_generate(name, x=round(where[0]), y=round(y), **state)
        self.widget.update()

    def press(self, where, shift=False):
        self._focus()
        if shift:
            self.widget.event_generate("<KeyPress-Shift_L>")
        self._mouse("<ButtonPress-1>", where, state=0x1 if shift else 0)

    def release(self, where, shift=False):
        self._mouse("<ButtonRelease-1>", where, state=0x100 | (0x1 if shift else 0))
        if shift:
            self.widget.event_generate("<KeyRelease-Shift_L>", state=0x1)

    def move(self, where, held=False, shift=False):
        self._mouse("<Motion>", where, state=(0x100 if held else 0) | (0x1 if shift else 0))

    def _focus(self):
        for _ in range(100):
            self.widget.focus_force()
            self.widget.update()
            if self.widget.focus_get() is self.widget:
                return
            time.sleep(0.01)
        raise RuntimeError("the window does not get the keyboard")

    def key(self, name):
        names = {"right": "Right", "left": "Left", "escape": "Escape"}
        *held, name = name.split("+")
        self._focus()
        state = 0x4 if held == ["ctrl"] else 0
        for kind in ("KeyPress", "KeyRelease"):
            self.widget.event_generate(f"<{kind}-{names.get(name, name)}>", state=state)
        self.settle()

    def resize(self, width, height):
        self.window.geometry(f"{width}x{height}")
        self.settle()

    def close(self):
        # What the window manager sends when its cross is clicked on.
        self.window.tk.call(*self.window.tk.splitlist(self.window.protocol("WM_DELETE_WINDOW")))
        time.sleep(0.05)

    def screen(self):
        from PIL import Image

        photo = self.canvas._tkphoto
        data = self.widget.tk.call(photo.name, "data", "-format", "ppm")
        data = data if isinstance(data, bytes) else bytes(data, "latin-1")
        return np.array(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.fixture
def hands_on():
    """Hands for a figure in a window."""

    def lay(figure):
        figure.show()
        return (QtHands if plt.get_backend().lower() == "qtagg" else TkHands)(figure)

    return lay


@pytest.fixture(scope="session")
def environment(folder):
    """Of processes of their own: they test the package that is tested here."""
    import hs_rvae

    paths = [str(Path(hs_rvae.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    search = os.pathsep.join(path for path in paths if path)
    return {**os.environ, "TOOLKITS_FOLDER": str(folder), "PYTHONPATH": search}


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A fitted stack and its model, for processes of their own."""
    import hs_rvae

    simulate = hs_rvae.simulation.simulate_perovskite
    image, truth = simulate((320, 320), cell=20.0, nonpolar=0.0, random_state=0)
    xy = truth.b_sites[["x", "y"]]
    stack = hs_rvae.SubImageStack.from_positions(image, xy, window_size=36)
    stack.rvae(epochs=2, n_init=1, random_state=0, show_progressbar=False)
    folder = tmp_path_factory.mktemp("toolkits")
    stack.save(folder / "stack.zspy")
    stack.rvae_model.save(folder / "model.safetensors")
    return folder

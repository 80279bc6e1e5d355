// A receptive field under the mouse: a stack of layers that the reader chooses, and the input pixels that an output
// pixel sees.

(function () {
  "use strict";

  const lessons = globalThis.unpoolLessons;
  const { arrows, button, choice, node, shape, slider } = lessons;

  // Layers by their letters: kernel, stride, dilation of a convolution or a pooling; "up" doubles in 2x2 blocks.
  const LAYERS = {
    c3: { kernel: 3, stride: 1, dilation: 1 },
    c5: { kernel: 5, stride: 1, dilation: 1 },
    c7: { kernel: 7, stride: 1, dilation: 1 },
    d2: { kernel: 3, stride: 1, dilation: 2 },
    d4: { kernel: 3, stride: 1, dilation: 4 },
    p: { kernel: 2, stride: 2, dilation: 1 },
    up: { kernel: 2, stride: 2, dilation: 1, transposed: true },
  };

  const STAGE = ["c3", "c3", "p"];
  const UNET = [...STAGE, ...STAGE, ...STAGE, ...STAGE, "c3", "c3", ...Array(4).fill(["up", "c3", "c3"]).flat()];
  const SEGNET_BASIC = Array(4).fill(["c7", "p"]).flat();

  // Stacks to begin with: the layers, and the least, the most, the first and the step of the input size.
  const STACKS = {
    two: { layers: ["c3", "c3"], sizes: [8, 48, 16, 1] },
    one: { layers: ["c3"], sizes: [8, 48, 16, 1] },
    three: { layers: ["c3", "c3", "c3"], sizes: [8, 48, 16, 1] },
    pooled: { layers: ["c3", "c3", "p", "c3", "c3"], sizes: [8, 48, 32, 1] },
    dilated: { layers: ["c3", "d2", "d4"], sizes: [8, 48, 32, 1] },
    segnet: { layers: SEGNET_BASIC, sizes: [96, 360, 360, 8] },
    unet: { layers: UNET, sizes: [188, 572, 572, 16] },
  };

  const MOST_LAYERS = 30;

  function spanOf(layer) {
    return layer.dilation * (layer.kernel - 1) + 1;
  }

  // Zeros before the first pixel and in all; poolings and up-convolutions have none.
  function zerosOf(layer, padding) {
    const total = padding === "same" && layer.stride === 1 ? spanOf(layer) - 1 : 0;
    return { before: Math.floor(total / 2), total };
  }

  function sizeAfter(letters, size, padding) {
    const layer = LAYERS[letters];
    if (layer.transposed) return 2 * size;
    return Math.floor((size + zerosOf(layer, padding).total - spanOf(layer)) / layer.stride) + 1;
  }

  // First and last input pixel, from 0, that the output pixels `seen` of a stack read; zeros are below 0 or beyond.
  function reads(stack, padding, seen) {
    return [...stack].reverse().reduce(([first, last], letters) => {
      const layer = LAYERS[letters];
      if (layer.transposed) return [Math.floor(first / 2), Math.floor(last / 2)];
      const { before } = zerosOf(layer, padding);
      return [layer.stride * first - before, layer.stride * last - before + spanOf(layer) - 1];
    }, seen);
  }

  function divisor(a, b) {
    return b ? divisor(b, a % b) : a;
  }

  // The most input pixels, from the first to the last, that an output pixel sees; after "up" it changes from pixel to
  // pixel in a pattern that repeats.
  function field(stack) {
    let numerator = 1, denominator = 1, period = 1;
    for (const letters of [...stack].reverse()) {
      if (LAYERS[letters].transposed) denominator *= 2;
      else numerator *= LAYERS[letters].stride;
      const common = divisor(numerator, denominator);
      numerator /= common;
      denominator /= common;
      period = Math.max(period, denominator); // both are powers of two
    }
    const widths = Array.from({ length: period }, (_, pixel) => {
      const [first, last] = reads(stack, "valid", [pixel, pixel]);
      return last - first + 1;
    });
    return Math.max(...widths);
  }

  // Input pixels from the centre of one pixel to the next after a stack.
  function step(stack) {
    return stack.reduce((made, letters) => {
      const layer = LAYERS[letters];
      return layer.transposed ? made / 2 : made * layer.stride;
    }, 1);
  }

  // The sizes after each layer of a stack, from the input on.
  function sizes(stack, size, padding) {
    const made = [size];
    for (const letters of stack) made.push(sizeAfter(letters, made[made.length - 1], padding));
    return made;
  }

  lessons.arithmetic.receptiveField = { LAYERS, STACKS, reads, field, step, sizes };

  const WORDS = {
    en: {
      stack: "layers", size: "input size", padding: "padding", row: "row", column: "column",
      valid: "valid (no zeros)", same: "same (zeros)", input: "input", output: "output",
      stacks: {
        one: "one 3 × 3 convolution", two: "two 3 × 3 convolutions", three: "three 3 × 3 convolutions",
        pooled: "two, pooling, two", dilated: "dilation 1, 2, 4",
        segnet: "SegNet-Basic's encoder", unet: "U-Net of 2015", own: "your own",
      },
      layers: {
        c3: "3 × 3 convolution", c5: "5 × 5 convolution", c7: "7 × 7 convolution", d2: "3 × 3, dilation 2",
        d4: "3 × 3, dilation 4", p: "2 × 2 pooling", up: "2 × 2 up-convolution",
      },
      remove: "remove the last", picture: "Input and output; arrow keys move the output pixel",
      sees: (row, column, rows, columns) =>
        `Output pixel in row ${row}, column ${column} sees rows ${rows[0]} to ${rows[1]} and columns ` +
        `${columns[0]} to ${columns[1]} of the input.`,
      zeros: (rows, columns) => `Beyond the border it sees zeros: ${rows} rows and ${columns} columns of its field.`,
      field: (pixels) => `Receptive field of the whole stack: ${pixels} × ${pixels} pixels.`,
      none: (layer) => `The input is too small: nothing is left after layer ${layer}.`,
      table: ["", "layer", "size", "sees at most", "one pixel every"],
    },
    zh: {
      stack: "网络层", size: "输入尺寸", padding: "填充方式", row: "行", column: "列",
      valid: "valid（不补零）", same: "same（补零）", input: "输入", output: "输出",
      stacks: {
        one: "一个 3 × 3 卷积", two: "两个 3 × 3 卷积", three: "三个 3 × 3 卷积",
        pooled: "两个卷积、池化、两个卷积", dilated: "膨胀率 1、2、4",
        segnet: "SegNet-Basic 的编码器", unet: "2015 年的 U-Net", own: "自己搭建",
      },
      layers: {
        c3: "3 × 3 卷积", c5: "5 × 5 卷积", c7: "7 × 7 卷积", d2: "3 × 3，膨胀率 2", d4: "3 × 3，膨胀率 4",
        p: "2 × 2 池化", up: "2 × 2 上卷积",
      },
      remove: "去掉最后一层", picture: "输入和输出；用方向键移动输出像素",
      sees: (row, column, rows, columns) =>
        `第 ${row} 行第 ${column} 列的输出像素，能看到输入的第 ${rows[0]} 至 ${rows[1]} 行、第 ${columns[0]} 至 ` +
        `${columns[1]} 列。`,
      zeros: (rows, columns) => `边界之外看到的是零：感受野中有 ${rows} 行、${columns} 列。`,
      field: (pixels) => `全部网络层的感受野：${pixels} × ${pixels} 像素。`,
      none: (layer) => `输入太小：第 ${layer} 层之后没有像素了。`,
      table: ["", "网络层", "尺寸", "最多看到", "像素间隔"],
    },
  };

  const WIDE = 300, EDGE = 26, BETWEEN = 46;

  function build(words) {
    let stack = STACKS.two.layers;
    const drawing = node("div", { class: "drawing", tabindex: "0", role: "group", "aria-label": words.picture });
    const sees = node("p", { class: "sees" });
    const zeros = node("p", { class: "zeros" });
    const whole = node("p", { class: "field-size sum" });
    const table = node("table");
    const stacks = choice(words.stack, words.stacks, "two", () => {
      if (stacks.value() === "own") return;
      const chosen = STACKS[stacks.value()];
      stack = chosen.layers;
      range(chosen.sizes);
      middle();
      update();
    });
    const size = slider(words.size, 8, 48, 16, update);
    const padding = choice(words.padding, { valid: words.valid, same: words.same }, "valid", update);
    const row = slider(words.row, 1, 12, 6, update);
    const column = slider(words.column, 1, 12, 6, update);
    const letters = Object.keys(LAYERS);
    const buttons = letters.map((each) => button(`+ ${words.layers[each]}`, () => own([...stack, each])));
    buttons.push(button(words.remove, () => own(stack.slice(0, -1))));

    function own(changed) {
      stack = changed.slice(0, MOST_LAYERS);
      stacks.set("own");
      update();
    }

    function range([least, most, first, by]) {
      size.input.step = by;
      size.limit(least, most);
      size.set(first);
    }

    // The output pixel in the middle.
    function middle() {
      const made = sizes(stack, size.value(), padding.value());
      const last = made[made.length - 1];
      for (const each of [row, column]) {
        each.limit(1, last);
        each.set(Math.ceil(last / 2));
      }
    }

    function update() {
      const made = sizes(stack, size.value(), padding.value());
      const failed = made.findIndex((each) => each < 1);
      const last = made[made.length - 1];
      table.replaceChildren(...rowsOf(made, failed));
      if (failed >= 0) {
        sees.textContent = words.none(failed);
        zeros.textContent = whole.textContent = "";
        drawing.replaceChildren();
        return;
      }
      for (const each of [row, column]) each.limit(1, last);
      const seen = [row, column].map((each) => reads(stack, padding.value(), [each.value() - 1, each.value() - 1]));
      const inside = seen.map(([low, high]) => [Math.max(low, 0) + 1, Math.min(high, size.value() - 1) + 1]);
      const beyond = seen.map(([low, high], axis) => high - low + 1 - (inside[axis][1] - inside[axis][0] + 1));
      sees.textContent = words.sees(row.value(), column.value(), inside[0], inside[1]);
      zeros.textContent = beyond[0] || beyond[1] ? words.zeros(beyond[0], beyond[1]) : "";
      whole.textContent = words.field(field(stack));
      drawing.replaceChildren(draw(last, seen));
    }

    function rowsOf(made, failed) {
      const shown = failed < 0 ? stack : stack.slice(0, failed);
      const body = shown.map((each, k) => {
        const part = stack.slice(0, k + 1);
        const values = [`${k + 1}`, words.layers[each], `${made[k + 1]}`, `${field(part)}`, `${step(part)}`];
        return node("tr", {}, ...values.map((value) => node("td", {}, value)));
      });
      return [
        node("thead", {}, node("tr", {}, ...words.table.map((each) => node("th", {}, each)))),
        node("tbody", {}, ...body),
      ];
    }

    // The map of `pixels` on each side as a square with its lines where there is room for them.
    function map(kind, left, pixels, scale, title) {
      const side = pixels * scale;
      const shapes = [
        shape("text", { class: "title", x: left, y: EDGE - 10 }, `${title} ${pixels} × ${pixels}`),
        shape("rect", { class: `map ${kind}`, x: left, y: EDGE, width: side, height: side }),
      ];
      if (scale >= 5) {
        const lines = Array.from({ length: pixels - 1 }, (_, k) => (k + 1) * scale);
        const path = lines.map((at) => `M${left + at} ${EDGE}v${side}M${left} ${EDGE + at}h${side}`).join("");
        shapes.push(shape("path", { class: "grid", d: path }));
      }
      return shapes;
    }

    function draw(last, [rows, columns]) {
      const pixels = size.value();
      const scale = WIDE / Math.max(pixels, last);
      const right = EDGE + pixels * scale + BETWEEN;
      const shapes = [
        ...map("input", EDGE, pixels, scale, words.input),
        ...map("output", right, last, scale, words.output),
        shape("rect", {
          class: "field", x: EDGE + columns[0] * scale, y: EDGE + rows[0] * scale,
          width: (columns[1] - columns[0] + 1) * scale, height: (rows[1] - rows[0] + 1) * scale,
        }),
      ];
      const mark = Math.max(scale, 5);
      const centre = [row, column].map((each) => (each.value() - 0.5) * scale);
      shapes.push(shape("rect", {
        class: "field pointed", x: right + centre[1] - mark / 2, y: EDGE + centre[0] - mark / 2,
        width: mark, height: mark,
      }));
      const width = right + last * scale + EDGE, height = 2 * EDGE + Math.max(pixels, last) * scale;
      const over = shape("rect", {
        class: "surface", x: right, y: EDGE, width: last * scale, height: last * scale, fill: "transparent",
      });
      const drawn = shape("svg", { class: "fits", viewBox: `0 0 ${width} ${height}`, width, height }, ...shapes, over);
      over.addEventListener("pointermove", (event) => point(event, over, last));
      over.addEventListener("pointerdown", (event) => point(event, over, last));
      return drawn;
    }

    function point(event, over, last) {
      const box = over.getBoundingClientRect();
      const at = (place, length) => Math.min(Math.max(Math.floor((place / length) * last), 0), last - 1) + 1;
      row.set(at(event.clientY - box.top, box.height));
      column.set(at(event.clientX - box.left, box.width));
      update();
    }

    arrows(drawing, row, column, update);

    range(STACKS.two.sizes);
    middle();
    update();
    const rows = [stacks, size, padding, row, column].map((each) => each.row);
    return [
      node("div", { class: "controls" }, ...rows),
      node("div", { class: "buttons" }, ...buttons),
      drawing,
      node("div", { class: "result", "aria-live": "polite" }, sees, zeros, whole),
      node("div", { class: "scroll" }, table),
    ];
  }

  lessons.register("receptive-field", WORDS, build);
})();

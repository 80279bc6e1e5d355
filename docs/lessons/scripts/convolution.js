// A convolution along one axis: sliders for size, kernel, stride, dilation and padding, and what each output reads.

(function () {
  "use strict";

  const lessons = globalThis.unpoolLessons;
  const { cell, choice, node, shape, slider, written } = lessons;

  function spanOf(layer) {
    return layer.dilation * (layer.kernel - 1) + 1;
  }

  // The zeros [before, after] that a padding of a name adds; "own" adds layer.padding on each side.
  function zeros(name, layer) {
    const lost = spanOf(layer) - 1;
    if (name === "valid") return [0, 0];
    if (name === "full") return [lost, lost];
    if (name === "own") return [layer.padding, layer.padding];
    let total = lost;
    if (name === "tensorflow") {
      const outputs = Math.ceil(layer.size / layer.stride);
      total = Math.max((outputs - 1) * layer.stride + lost + 1 - layer.size, 0);
    }
    return [Math.floor(total / 2), total - Math.floor(total / 2)];
  }

  // The output size, every step of its sum, and for each output the pixels that it reads: 1 is the first pixel of the
  // input, 0 a zero. `unread` are the pixels and zeros that no output reads, as places in the padded input from 0.
  function convolution(name, layer) {
    const [before, after] = zeros(name, layer);
    const span = spanOf(layer);
    const padded = before + layer.size + after;
    const free = padded - span;
    const steps = Math.floor(free / layer.stride);
    const outputs = Math.max(steps + 1, 0);
    const sum = [
      `⌊(${layer.size} + ${before} + ${after} − ${span}) / ${layer.stride}⌋ + 1`,
      `⌊${written(free)} / ${layer.stride}⌋ + 1`,
      `${written(steps)} + 1`,
      written(steps + 1),
    ].join(" = ");
    const taps = [];
    for (let output = 0; output < outputs; output++) {
      const places = [];
      for (let tap = 0; tap < layer.kernel; tap++) places.push(output * layer.stride + tap * layer.dilation);
      taps.push(places);
    }
    const read = new Set(taps.flat());
    const all = Array.from({ length: padded }, (_, place) => place);
    const pixel = (place) => (place >= before && place < before + layer.size ? place - before + 1 : 0);
    return {
      before, after, span, padded, outputs, sum, taps,
      reads: taps.map((places) => places.map(pixel)),
      unread: all.filter((place) => !read.has(place)),
      pixels: all.map(pixel),
    };
  }

  lessons.arithmetic.convolution = convolution;

  const WORDS = {
    en: {
      size: "input size i", kernel: "kernel k", stride: "stride s", dilation: "dilation d", padding: "padding",
      zeros: "zeros on each side", output: "output pixel", input: "input", outputs: "output",
      own: "your own number", tensorflow: "SAME of TensorFlow",
      picture: "The padded input above, the output below, and what the chosen output pixel reads",
      none: "The kernel does not fit: there is no output.",
      reads: (number, of, pixels) => `Output pixel ${number} of ${of} reads: ${pixels}.`,
      zero: "zero", comma: ", ", pixel: (number) => `pixel ${number}`,
      unread: (pixels) => `No kernel reads: ${pixels}.`,
      span: "span", before: "zeros before b", after: "zeros after a",
    },
    zh: {
      size: "输入尺寸 i", kernel: "卷积核 k", stride: "步幅 s", dilation: "膨胀率 d", padding: "填充方式",
      zeros: "每侧补零个数", output: "输出像素", input: "输入", outputs: "输出",
      own: "自己指定", tensorflow: "TensorFlow 的 SAME",
      picture: "上面是补零后的输入，下面是输出，连线表示所选输出像素读取的内容",
      none: "卷积核放不下：没有输出。",
      reads: (number, of, pixels) => `第 ${number} 个输出像素（共 ${of} 个）读取：${pixels}。`,
      zero: "零", comma: "、", pixel: (number) => `像素 ${number}`,
      unread: (pixels) => `没有卷积核读取：${pixels}。`,
      span: "跨度 span", before: "前面补零 b", after: "后面补零 a",
    },
  };

  const SIDE = 26, GAP = 56, LEFT = 52;

  function build(words) {
    const drawing = node("div", { class: "drawing", tabindex: "0", role: "group", "aria-label": words.picture });
    const sum = node("p", { class: "sum" });
    const facts = node("p", { class: "facts" });
    const reads = node("p", { class: "reads" });
    const unread = node("p", { class: "unread" });
    const size = slider(words.size, 1, 16, 7, update);
    const kernel = slider(words.kernel, 1, 7, 3, update);
    const stride = slider(words.stride, 1, 4, 1, update);
    const dilation = slider(words.dilation, 1, 3, 1, update);
    const names = { valid: "valid", same: "same", full: "full", tensorflow: words.tensorflow, own: words.own };
    const padding = choice(words.padding, names, "same", update);
    const padded = slider(words.zeros, 0, 8, 1, () => { padding.set("own"); update(); });
    const pointed = slider(words.output, 1, 7, 1, update);
    const named = (pixel) => (pixel ? words.pixel(pixel) : words.zero);

    function update() {
      const layer = {
        size: size.value(), kernel: kernel.value(), stride: stride.value(), dilation: dilation.value(),
        padding: padded.value(),
      };
      const made = convolution(padding.value(), layer);
      pointed.limit(Math.min(made.outputs, 1), made.outputs);
      const chosen = pointed.value() - 1;
      sum.textContent = `o = ${made.sum}`;
      facts.textContent =
        `${words.span} = d(k − 1) + 1 = ${layer.dilation}(${layer.kernel} − 1) + 1 = ${made.span}${words.comma}` +
        `${words.before} = ${made.before}${words.comma}${words.after} = ${made.after}`;
      reads.textContent = made.outputs
        ? words.reads(chosen + 1, made.outputs, made.reads[chosen].map(named).join(words.comma))
        : words.none;
      unread.textContent = made.unread.length
        ? words.unread(made.unread.map((place) => named(made.pixels[place])).join(words.comma))
        : "";
      drawing.replaceChildren(draw(made, layer, chosen));
    }

    function draw(made, layer, chosen) {
      const low = SIDE + GAP;
      const width = LEFT + made.padded * SIDE + 4;
      const shapes = [
        shape("text", { class: "label", x: LEFT - 8, y: 18 }, words.input),
        shape("text", { class: "label", x: LEFT - 8, y: low + 18 }, words.outputs),
      ];
      const read = new Set(chosen >= 0 ? made.taps[chosen] : []);
      const unread = new Set(made.unread);
      made.pixels.forEach((pixel, place) => {
        const kind = unread.has(place) ? "unread" : pixel ? "pixel" : "zero";
        const marked = read.has(place) ? " marked" : "";
        shapes.push(cell(LEFT + place * SIDE, 2, SIDE, SIDE, kind + marked, `${pixel}`));
      });
      const centre = (output) => LEFT + (output * layer.stride + made.span / 2) * SIDE;
      for (const place of read) {
        const x = LEFT + (place + 0.5) * SIDE;
        shapes.push(shape("line", { class: "tap", x1: x, y1: SIDE + 3, x2: centre(chosen), y2: low - 2 }));
      }
      for (let output = 0; output < made.outputs; output++) {
        const point = () => { pointed.set(output + 1); update(); };
        const kind = output === chosen ? "output marked" : "output";
        shapes.push(cell(centre(output) - SIDE / 2, low, SIDE, SIDE, kind, `${output + 1}`, {
          onpointerenter: point, onclick: point,
        }));
      }
      shapes.push(...lessons.frames(shapes));
      return shape("svg", { viewBox: `0 0 ${width} ${low + SIDE + 4}`, width, height: low + SIDE + 4 }, ...shapes);
    }

    update();
    const rows = [size, kernel, stride, dilation, padding, padded, pointed].map((each) => each.row);
    return [
      node("div", { class: "controls" }, ...rows),
      drawing,
      node("div", { class: "result", "aria-live": "polite" }, sum, facts, reads, unread),
    ];
  }

  lessons.register("convolution", WORDS, build);
})();

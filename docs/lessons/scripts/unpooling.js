// Unpooling step by step: 4 x 4 numbers, the maxima of their 2 x 2 windows with 2 bits each, and four ways back.

(function () {
  "use strict";

  const lessons = globalThis.unpoolLessons;
  const { arrows, button, cell, node, shape, slider, written } = lessons;

  const SIDE = 4, POOLED = 2;
  const BITS = ["00", "01", "10", "11"]; // row and column within the window

  // The maximum of each 2 x 2 window, and its place in the window: 0 to 3, by rows. Of equal numbers the first counts.
  function pooled(numbers) {
    const maxima = [], places = [];
    for (let window = 0; window < POOLED * POOLED; window++) {
      const row = 2 * Math.floor(window / POOLED), column = 2 * (window % POOLED);
      const values = [0, 1, 2, 3].map((place) => numbers[row + (place >> 1)][column + (place & 1)]);
      const place = values.indexOf(Math.max(...values));
      maxima.push(values[place]);
      places.push(place);
    }
    const square = (list) => [list.slice(0, 2), list.slice(2)];
    return { maxima: square(maxima), places: square(places) };
  }

  // 4 x 4 numbers, each made by number(row, column).
  function square(number) {
    return Array.from({ length: SIDE }, (_, row) => Array.from({ length: SIDE }, (_, column) => number(row, column)));
  }

  // Each maximum where it was, and zeros elsewhere.
  function unpooled({ maxima, places }) {
    return square((row, column) => {
      const place = 2 * (row % 2) + (column % 2);
      const r = row >> 1, c = column >> 1;
      return places[r][c] === place ? maxima[r][c] : 0;
    });
  }

  // The two nearest of two maxima along an axis, and their weights: no aligned corners, the border repeats.
  function weights(place) {
    const at = Math.min(Math.max((place + 0.5) / 2 - 0.5, 0), POOLED - 1);
    const first = Math.min(Math.floor(at), POOLED - 2);
    return [[first, 1 - (at - first)], [first + 1, at - first]];
  }

  // The summands [weight, maximum] of a pixel of the bilinear interpolation.
  function bilinearTerms(maxima, row, column) {
    const terms = [];
    for (const [r, down] of weights(row)) {
      for (const [c, across] of weights(column)) terms.push([down * across, maxima[r][c]]);
    }
    return terms.filter(([weight]) => weight > 0);
  }

  // The summands [weight, maximum] of a pixel of the transposed convolution: each maximum puts the kernel, times
  // itself, on the output, `stride` pixels after the last; what overlaps is added. A kernel of 3 begins 1 pixel before
  // the picture, so that the size doubles.
  function transposedTerms(maxima, kernel, row, column) {
    const before = kernel.length === 3 ? 1 : 0;
    const terms = [];
    for (let r = 0; r < POOLED; r++) {
      for (let c = 0; c < POOLED; c++) {
        const k = row + before - 2 * r, l = column + before - 2 * c;
        if (k >= 0 && k < kernel.length && l >= 0 && l < kernel.length) terms.push([kernel[k][l], maxima[r][c]]);
      }
    }
    return terms;
  }

  function total(terms) {
    return terms.reduce((sum, [weight, value]) => sum + weight * value, 0);
  }

  const KERNELS = {
    transposed: [[1, 2], [3, 4]],
    overlapping: [[1, 2, 1], [2, 4, 2], [1, 2, 1]],
  };

  // The summands of pixel (row, column) of a way back from the maxima to 4 x 4 pixels.
  const WAYS = {
    unpooling(made, row, column) {
      const value = unpooled(made)[row][column];
      return made.places[row >> 1][column >> 1] === 2 * (row % 2) + (column % 2) ? [[1, value]] : [];
    },
    nearest: (made, row, column) => [[1, made.maxima[row >> 1][column >> 1]]],
    bilinear: (made, row, column) => bilinearTerms(made.maxima, row, column),
    transposed: (made, row, column) => transposedTerms(made.maxima, KERNELS.transposed, row, column),
    overlapping: (made, row, column) => transposedTerms(made.maxima, KERNELS.overlapping, row, column),
  };

  function enlarged(way, numbers) {
    const made = pooled(numbers);
    return square((row, column) => total(WAYS[way](made, row, column)));
  }

  lessons.arithmetic.unpooling = { pooled, enlarged, KERNELS };

  const EXAMPLES = [
    [[1, 3, 2, 0], [5, 2, 1, 4], [0, 6, 7, 3], [2, 1, 2, 8]],
    [[9, 1, 0, 2], [3, 4, 6, 5], [2, 2, 1, 0], [7, 2, 0, 3]],
    [[0, 0, 0, 0], [0, 9, 9, 0], [0, 9, 9, 0], [0, 0, 0, 0]],
    [[1, 2, 3, 4], [2, 3, 4, 5], [3, 4, 5, 6], [4, 5, 6, 7]],
  ];
  const NAMES = ["pooling", ...Object.keys(WAYS)];

  const WORDS = {
    en: {
      step: "step", numbers: "other numbers", own: "The input; type your own numbers:", row: "row", column: "column",
      input: "input, 4 × 4", maxima: "maxima, 2 × 2", bits: "places, 2 bits", output: "output, 4 × 4",
      number: (row, column) => `number in row ${row}, column ${column}`,
      picture: "The numbers of this step; arrow keys move the chosen output pixel",
      steps: {
        pooling: "Max pooling: of each 2 × 2 window the largest number stays, and its place: the row and the column in the window, one bit each.",
        unpooling: "Unpooling (SegNet): each maximum returns to its place. All others are zero.",
        nearest: "Nearest neighbour: each maximum fills its window.",
        bilinear: "Bilinear: each pixel is a mean of the nearest maxima, with more weight for the nearer.",
        transposed: "Transposed convolution, kernel 2 × 2, stride 2 (U-Net's up-convolution): each maximum times the kernel. Here the kernel is 1 2 / 3 4; a network learns it.",
        overlapping: "Transposed convolution, kernel 3 × 3, stride 2: the products overlap and are added, in some pixels more of them than in others. Such a pattern is called a checkerboard.",
      },
      sum: (row, column, sum) => `Output in row ${row}, column ${column}: ${sum}`,
      empty: "no maximum was here, so 0",
      window: (row, column, value, bits) =>
        `Window in row ${row}, column ${column}: the maximum is ${value}, its place is ${bits}.`,
    },
    zh: {
      step: "步骤", numbers: "换一组数", own: "输入；可以改成自己的数：", row: "行", column: "列",
      input: "输入，4 × 4", maxima: "最大值，2 × 2", bits: "位置，2 比特", output: "输出，4 × 4",
      number: (row, column) => `第 ${row} 行第 ${column} 列的数`,
      picture: "这一步的数；用方向键移动所选的输出像素",
      steps: {
        pooling: "最大池化：每个 2 × 2 窗口只留下最大的数，并记住它的位置：窗口内的行和列，各用 1 比特。",
        unpooling: "反池化（SegNet）：每个最大值回到原来的位置，其余都是零。",
        nearest: "最近邻插值：每个最大值填满自己的窗口。",
        bilinear: "双线性插值：每个像素是最近几个最大值的加权平均，越近权重越大。",
        transposed: "转置卷积，卷积核 2 × 2，步幅 2（U-Net 的上卷积）：每个最大值乘以卷积核。这里的卷积核是 1 2 / 3 4；在网络中它由训练得到。",
        overlapping: "转置卷积，卷积核 3 × 3，步幅 2：各个乘积相互重叠并相加，有的像素加得多，有的加得少。这种图案叫棋盘效应。",
      },
      sum: (row, column, sum) => `第 ${row} 行第 ${column} 列的输出：${sum}`,
      empty: "这里没有最大值，所以是 0",
      window: (row, column, value, bits) => `第 ${row} 行第 ${column} 列的窗口：最大值是 ${value}，位置是 ${bits}。`,
    },
  };

  const BOX = 34, GAP = 26, TOP = 24;

  function build(words) {
    let numbers = EXAMPLES[0].map((row) => [...row]);
    let example = 0;
    const drawing = node("div", { class: "drawing", tabindex: "0", role: "group", "aria-label": words.picture });
    const explained = node("p", { class: "step-words" });
    const sum = node("p", { class: "sum" });
    const inputs = square((row, column) =>
      node("input", {
        type: "number", min: -99, max: 99, step: 1, value: numbers[row][column],
        "aria-label": words.number(row + 1, column + 1),
        oninput(event) {
          const value = Number(event.target.value);
          numbers[row][column] = Number.isFinite(value) ? Math.min(Math.max(value, -99), 99) : 0;
          update();
        },
      }));
    const step = slider(words.step, 1, NAMES.length, 1, update);
    const row = slider(words.row, 1, SIDE, 1, update);
    const column = slider(words.column, 1, SIDE, 1, update);
    const others = button(words.numbers, () => {
      example = (example + 1) % EXAMPLES.length;
      numbers = EXAMPLES[example].map((each) => [...each]);
      numbers.forEach((each, r) => each.forEach((value, c) => { inputs[r][c].value = value; }));
      update();
    });

    function update() {
      const name = NAMES[step.value() - 1];
      const made = pooled(numbers);
      const [r, c] = [row.value() - 1, column.value() - 1];
      explained.textContent = words.steps[name];
      if (name === "pooling") {
        const place = made.places[r >> 1][c >> 1];
        const value = written(made.maxima[r >> 1][c >> 1]);
        sum.textContent = words.window((r >> 1) + 1, (c >> 1) + 1, value, BITS[place]);
      } else {
        const terms = WAYS[name](made, r, c);
        const products = terms.map(([weight, value]) => `${written(weight)} · ${written(value)}`).join(" + ");
        const result = written(total(terms));
        sum.textContent = words.sum(r + 1, c + 1, terms.length ? `${products} = ${result}` : words.empty);
      }
      drawing.replaceChildren(draw(name, made, r, c));
    }

    // A square of numbers at a corner; kind(row, column) is the class of a cell.
    function grid([left, top], title, values, kind, pointed) {
      const shapes = [shape("text", { class: "title", x: left, y: top - 9 }, title)];
      values.forEach((each, r) => each.forEach((text, c) => {
        const listeners = pointed ? { onpointerenter: () => pointed(r, c), onclick: () => pointed(r, c) } : {};
        shapes.push(cell(left + c * BOX, top + r * BOX, BOX, BOX, kind(r, c), text, listeners));
      }));
      return shapes;
    }

    function draw(name, made, r, c) {
      const shown = (values) => values.map((each) => each.map((value) => written(value)));
      const inWindow = (a, b) => (a >> 1) === (r >> 1) && (b >> 1) === (c >> 1);
      const isMaximum = (a, b) => made.places[a >> 1][b >> 1] === 2 * (a % 2) + (b % 2);
      const marked = (kind, is) => (is ? `${kind} marked` : kind);
      const point = (a, b) => { row.set(a + 1); column.set(b + 1); update(); };
      const middle = SIDE * BOX + GAP, right = middle + POOLED * BOX + GAP, low = 2 * TOP + SIDE * BOX + 10;
      const first = name === "pooling";
      const shapes = [
        ...grid([0, TOP], words.input, shown(numbers),
          (a, b) => marked(isMaximum(a, b) ? "pixel" : "unread", first && inWindow(a, b)), first ? point : null),
        ...grid([middle, TOP], words.maxima, shown(made.maxima),
          (a, b) => marked("output", first && a === r >> 1 && b === c >> 1)),
        ...grid([right, TOP], words.bits,
          made.places.map((each) => each.map((place) => BITS[place])),
          (a, b) => marked("zero", first && a === r >> 1 && b === c >> 1)),
      ];
      if (!first) {
        const values = square((a, b) => total(WAYS[name](made, a, b)));
        shapes.push(...grid([0, low], words.output, shown(values),
          (a, b) => marked("output", a === r && b === c), point));
      }
      shapes.push(...lessons.frames(shapes));
      const width = right + POOLED * BOX + 34, height = (first ? TOP : low) + SIDE * BOX + 4;
      return shape("svg", { viewBox: `-1 0 ${width} ${height}`, width, height }, ...shapes);
    }

    arrows(drawing, row, column, update);

    update();
    return [
      node("div", { class: "controls" }, ...[step, row, column].map((each) => each.row)),
      node("p", { class: "own" }, words.own),
      node("div", { class: "numbers" }, ...inputs.flat()),
      node("div", { class: "buttons" }, others),
      drawing,
      node("div", { class: "result", "aria-live": "polite" }, explained, sum),
    ];
  }

  lessons.register("unpooling", WORDS, build);
})();

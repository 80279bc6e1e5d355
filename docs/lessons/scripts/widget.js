// The parts of which the things to move on the lessons' pages are made: sliders, choices, drawings, two languages.
//
// A page has <div class="lesson-widget" data-widget="NAME"> with a picture in it. Where JavaScript runs, the widget
// takes the picture's place; elsewhere the picture stays. Nothing is fetched, and no library is used.
// The arithmetic of each widget stands in unpoolLessons.arithmetic, free of the page, so that tests can call it.

(function () {
  "use strict";

  const SVG = "http://www.w3.org/2000/svg";

  function fill(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }

  // An element of the page: node("p", {class: "sum"}, "text", other). "onclick" and the like are listeners.
  function node(name, attributes = {}, ...children) {
    return fill(document.createElement(name), attributes, children);
  }

  // An element of a drawing.
  function shape(name, attributes = {}, ...children) {
    return fill(document.createElementNS(SVG, name), attributes, children);
  }

  // A box of a drawing with a short text in its middle.
  function cell(x, y, width, height, kind, text, attributes = {}) {
    const size = text.length > 4 ? 9 : text.length > 3 ? 10 : 12;
    return shape(
      "g", { class: `cell ${kind}`, ...attributes },
      shape("rect", { x, y, width, height }),
      shape("text", { x: x + width / 2, y: y + height / 2 + size * 0.36, "font-size": size }, text),
    );
  }

  // Frames for the marked boxes, drawn after all boxes, so that no neighbour covers a part of a frame.
  function frames(shapes) {
    return shapes.filter((each) => each.classList.contains("marked")).map((each) => {
      const frame = each.firstChild.cloneNode();
      frame.setAttribute("class", "frame");
      return frame;
    });
  }

  let controls = 0;

  // A slider with its name before it and its value after it: {row, value(), set(number), limit(least, most)}.
  function slider(label, least, most, value, changed, step = 1) {
    const id = `lesson-control-${++controls}`;
    const shown = node("output", { for: id });
    const input = node("input", { type: "range", id, min: least, max: most, step, value });
    const show = () => { shown.textContent = input.value; };
    input.addEventListener("input", () => { show(); changed(); });
    show();
    return {
      input,
      row: node("div", { class: "control" }, node("label", { for: id }, label), input, shown),
      value: () => Number(input.value),
      set(number) { input.value = number; show(); },
      limit(lowest, highest) {
        input.min = lowest; input.max = highest; input.disabled = lowest >= highest; show();
      },
    };
  }

  // A list to choose from; options is {value: text}: {row, value(), set(value)}.
  function choice(label, options, value, changed) {
    const id = `lesson-control-${++controls}`;
    const entries = Object.entries(options).map(([key, text]) => node("option", { value: key }, text));
    const input = node("select", { id }, ...entries);
    input.value = value;
    input.addEventListener("change", changed);
    return {
      input,
      row: node("div", { class: "control" }, node("label", { for: id }, label), input),
      value: () => input.value,
      set(key) { input.value = key; },
    };
  }

  function button(text, pressed) {
    return node("button", { type: "button", onclick: pressed }, text);
  }

  const builders = {};

  // Give a widget its name: words is {en: {...}, zh: {...}}; build(words) returns the elements that it consists of.
  function register(name, words, build) {
    builders[name] = (place) => {
      const language = document.documentElement.lang.startsWith("zh") ? "zh" : "en";
      place.replaceChildren(...build(words[language]));
      place.classList.add("lesson-widget-ready");
    };
  }

  // The arrow keys of a drawing move the sliders of a row and a column by one.
  function arrows(drawing, row, column, moved) {
    const moves = { ArrowUp: [row, -1], ArrowDown: [row, 1], ArrowLeft: [column, -1], ArrowRight: [column, 1] };
    drawing.addEventListener("keydown", (event) => {
      const move = moves[event.key];
      if (move === undefined) return;
      event.preventDefault();
      move[0].set(move[0].value() + move[1]);
      moved();
    });
  }

  function start() {
    for (const place of document.querySelectorAll("[data-widget]")) {
      const build = builders[place.dataset.widget];
      if (build !== undefined && !place.classList.contains("lesson-widget-ready")) build(place);
    }
  }

  // A number as the page's text has it: a true minus sign, and at most `digits` places after the point.
  function written(number, digits = 4) {
    const rounded = Number(number.toFixed(digits));
    return rounded < 0 ? `−${-rounded}` : `${rounded === 0 ? 0 : rounded}`;
  }

  globalThis.unpoolLessons = {
    arithmetic: {}, node, shape, cell, frames, slider, choice, button, arrows, register, written,
  };

  if (typeof document !== "undefined") {
    if (document.readyState === "complete") start();
    else globalThis.addEventListener("load", start);
  }
})();
